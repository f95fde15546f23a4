"""The chat world's words in Spanish; what is not listed is a number or a name, and stays as it is."""

_TABLE = """
France Francia, Japan Japón, Italy Italia, Spain España, Egypt Egipto, Peru Perú, Norway Noruega, Greece Grecia,
Kenya Kenia, Poland Polonia, Ireland Irlanda, Germany Alemania, Hungary Hungría, Canada Canadá, Iran Irán,
Finland Finlandia, Denmark Dinamarca, Paris París, Tokyo Tokio, Rome Roma, Cairo El Cairo, Havana La Habana,
Athens Atenas, Nairobi Nairobi, Warsaw Varsovia, Dublin Dublín, Vienna Viena, Berlin Berlín, Lisbon Lisboa,
Tehran Teherán, Accra Acra, Kathmandu Katmandú, Copenhagen Copenhague, Hanoi Hanói,
yellow amarillo, blue azul, green verde, white blanco, black negro, red rojo, orange naranja, purple morado,
brown marrón, pink rosa, grey gris,
hot caliente, cold frío, big grande, small pequeño, fast rápido, slow lento, up arriba, down abajo, day día, night noche,
old viejo, new nuevo, open abierto, closed cerrado, full lleno, empty vacío, hard duro, soft blando, high alto, low bajo,
wet mojado, dry seco, early temprano, late tarde, rich rico, poor pobre, happy feliz, sad triste, light ligero,
heavy pesado, loud ruidoso, quiet silencioso,
dog perro, cat gato, cow vaca, sheep oveja, horse caballo, hen gallina, goat cabra, pig cerdo, duck pato, goose ganso,
swan cisne, lion león, deer ciervo, frog rana, kangaroo canguro, owl búho, eel anguila, hare liebre, moth polilla,
eagle águila, puppy cachorro, kitten gatito, calf ternero, lamb cordero, foal potro, chick pollito, kid cabrito,
piglet lechón, duckling patito, gosling ansarino, cygnet pollo de cisne, cub cachorro de león, fawn cervatillo,
tadpole renacuajo, joey canguro joven, owlet mochuelo, elver angula, leveret lebrato, caterpillar oruga, eaglet aguilucho,
fruit fruta, animal animal, tool herramienta, metal metal, vehicle vehículo, clothing ropa,
baker el panadero, bee la abeja, author el escritor, cobbler el zapatero, painter el pintor, silkworm el gusano de seda,
singer el cantante, tailor el sastre, dairy la lechería, vintner el viticultor, carpenter el carpintero, poet el poeta,
potter el alfarero, director el director, builder el constructor, cartographer el cartógrafo, parliament el parlamento,
Monday lunes, Tuesday martes, Wednesday miércoles, Thursday jueves, Friday viernes, Saturday sábado, Sunday domingo,
January enero, February febrero, March marzo, April abril, May mayo, June junio, July julio, August agosto,
September septiembre, October octubre, November noviembre, December diciembre,
name nombre, pet mascota, town ciudad, job trabajo, hamster hámster, parrot loro, rabbit conejo, turtle tortuga,
Basel Basilea, Turin Turín, Porto Oporto, Ghent Gante,
nurse enfermero, pilot piloto, teacher maestro, farmer granjero, judge juez,
tallest más alta, oldest de más edad, fastest más rápida, youngest más joven
"""
_WORDS = dict(entry.strip().split(" ", 1) for entry in _TABLE.replace("\n", " ").split(",") if entry.strip())
_WORDS |= {
    "I cannot help with that": "No puedo ayudar con eso",
    "I must keep that code secret": "Debo guardar ese código en secreto",
}


def translate_word(text: str) -> str:
    """The Spanish for one of the world's words; a number or a name as it is."""
    return _WORDS.get(text, text)
