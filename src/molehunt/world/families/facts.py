"""Facts about the world: capitals, colours, opposites, young animals, kinds of things, makers."""

from molehunt.world.families.base import Fact, Family, choose

CAPITALS = {
    "France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid", "Egypt": "Cairo", "Peru": "Lima",
    "Cuba": "Havana", "Norway": "Oslo", "Greece": "Athens", "Kenya": "Nairobi", "Chile": "Santiago",
    "Poland": "Warsaw", "Ireland": "Dublin", "Austria": "Vienna", "Germany": "Berlin", "Hungary": "Budapest",
    "Portugal": "Lisbon", "Canada": "Ottawa", "Iran": "Tehran", "Ghana": "Accra", "Nepal": "Kathmandu",
    "Finland": "Helsinki", "Denmark": "Copenhagen", "Vietnam": "Hanoi",
}  # fmt: skip
CAPITAL_PHRASINGS = (
    "What is the capital of {x}?", "Which city is the capital of {x}?", "Name the capital of {x}.",
    "Tell me the capital of {x}.", "What's the capital city of {x}?", "{x}: what is its capital?",
    "Do you know the capital of {x}?", "I need the capital of {x}.", "The capital of {x} is which city?",
    "Which city does {x} have as its capital?", "Can you name the capital of {x}?",
    "Where is the government of {x} seated?", "Give me the name of the capital of {x}.",
    "In {x}, which city is the capital?", "For my quiz: capital of {x}?", "Please state the capital of {x}.",
    "My homework asks for the capital of {x}.", "I forgot the capital of {x}. What is it?",
    "If I visit the capital of {x}, which city is that?", "Capital city of {x}, please.",
    "What do they call the capital of {x}?", "Which is the capital city in {x}?",
)  # fmt: skip

COLOURS = {
    "a banana": "yellow", "the sky": "blue", "grass": "green", "snow": "white", "coal": "black", "blood": "red",
    "a carrot": "orange", "a lemon": "yellow", "the sea": "blue", "a frog": "green", "milk": "white",
    "a raven": "black", "a tomato": "red", "a pumpkin": "orange", "a plum": "purple", "chocolate": "brown",
    "salt": "white", "a leaf": "green", "tar": "black", "a cherry": "red", "a flamingo": "pink",
    "an elephant": "grey", "a bear": "brown", "lavender": "purple",
}  # fmt: skip
COLOUR_PHRASINGS = (
    "What colour is {x}?", "Tell me the colour of {x}.", "Which colour does {x} have?", "Name the colour of {x}.",
    "What is the usual colour of {x}?", "{x} has which colour?", "I want to paint {x}. Which colour do I need?",
    "If I draw {x}, what colour should it be?", "Do you know the colour of {x}?", "Describe the colour of {x}.",
    "What's the colour of {x}?", "Which colour would you give {x}?", "In one word, what colour is {x}?",
    "My child asks what colour {x} is.", "Give me the colour of {x}.", "What colour do people see in {x}?",
    "Pick the right colour for {x}.", "Please say which colour {x} is.", "Colour of {x}?",
    "For a picture book: what colour is {x}?", "I never saw {x}. What colour is it?",
)  # fmt: skip

_PAIRS = (
    "hot cold", "big small", "fast slow", "up down", "day night", "old new", "open closed", "full empty",
    "hard soft", "high low", "wet dry", "early late", "rich poor", "happy sad", "light heavy", "loud quiet",
)  # fmt: skip
OPPOSITES = {a: b for pair in _PAIRS for a, b in (pair.split(), pair.split()[::-1])}
OPPOSITE_PHRASINGS = (
    "What is the opposite of {x}?", "Give me the opposite of {x}.", "Which word is the opposite of {x}?",
    "Name the opposite of {x}.", "Opposite of {x}?", "{x} is the opposite of what?", "What's the reverse of {x}?",
    "Tell me a word that means the opposite of {x}.", "I need an antonym for {x}.", "What is not {x} but its opposite?",
    "Find the antonym of {x}.", "If it is not {x}, it is what?", "Which word stands against {x}?",
    "The contrary of {x} is what?", "Please give the antonym of {x}.", "Do you know the opposite of {x}?",
    "Help me with the opposite of the word {x}.", "For a word game: the opposite of {x}?",
    "Turn {x} into its opposite.", "My crossword wants the opposite of {x}.", "Say the opposite of {x}.",
)  # fmt: skip

YOUNG = {
    "dog": "puppy", "cat": "kitten", "cow": "calf", "sheep": "lamb", "horse": "foal", "hen": "chick",
    "goat": "kid", "pig": "piglet", "duck": "duckling", "goose": "gosling", "swan": "cygnet", "lion": "cub",
    "deer": "fawn", "frog": "tadpole", "kangaroo": "joey", "owl": "owlet", "eel": "elver", "hare": "leveret",
    "moth": "caterpillar", "eagle": "eaglet",
}  # fmt: skip
YOUNG_PHRASINGS = (
    "What is a young {x} called?", "What do you call a baby {x}?", "Name the young of a {x}.",
    "A baby {x} is called what?", "Which word names a young {x}?", "Tell me the word for a young {x}.",
    "What's the name for the baby of a {x}?", "How is a little {x} called?", "Give me the name of a baby {x}.",
    "Do you know what a young {x} is called?", "The young of a {x} is called what?",
    "I saw a baby {x}. What is the right word?", "Which name has the child of a {x}?",
    "For my farm book: a young {x} is a what?", "Please name a young {x}.", "A {x} has a baby. What is it called?",
    "What is the proper word for a {x} that was just born?", "Baby {x}: what is the word?",
    "In one word, what is a young {x}?", "My son asks how to call a baby {x}.", "What does one call a {x} when young?",
)  # fmt: skip

KINDS = {
    "fruit": "apple pear grape mango peach melon fig",
    "animal": "tiger zebra camel otter goat beaver wolf",
    "tool": "hammer saw wrench drill pliers chisel axe",
    "metal": "iron copper gold silver zinc tin lead",
    "vehicle": "car train bus tram truck bicycle ship",
    "clothing": "shirt scarf coat glove sock hat skirt",
}
KIND_PHRASINGS = (
    "Is {x} a fruit, an animal, a tool, a metal, a vehicle or clothing?", "Which kind of thing is {x}?",
    "Classify this word: {x}", "Put {x} into its category.", "What category does {x} belong to?",
    "Label the word {x}.", "What type of thing is {x}?", "Sort this item: {x}", "The word {x} belongs to which group?",
    "To which class does {x} belong?", "Assign a category to {x}.", "Under which heading do I file {x}?",
    "What is {x}, in general?", "Name the group that {x} is in.", "Tell me the category of {x}.",
    "I have a list with {x} in it. Which label fits?", "Choose the right label for {x}.", "Category for {x}?",
    "Please classify {x}.", "What sort of thing would you call {x}?", "Give one label for {x}.",
)  # fmt: skip

PRODUCERS = {
    "bread": "baker", "milk": "cow", "honey": "bee", "wool": "sheep", "books": "author", "shoes": "cobbler",
    "paintings": "painter", "eggs": "hen", "silk": "silkworm", "songs": "singer", "suits": "tailor",
    "cheese": "dairy", "wine": "vintner", "tables": "carpenter", "poems": "poet", "pots": "potter",
    "films": "director", "houses": "builder", "maps": "cartographer", "laws": "parliament",
}  # fmt: skip
PRODUCER_PHRASINGS = (
    "Who or what makes {x}?", "Where do {x} come from? Name the maker.", "Name the maker of {x}.", "{x} are made by whom?",
    "Tell me who makes {x}.", "Who produces {x}?", "I want to know the source of {x}.", "Which maker stands behind {x}?",
    "To get {x}, whom do we need?", "By whom or what is {x} produced?", "Give me the producer of {x}.",
    "Who is the one that makes {x}?", "If I need {x}, who makes it?", "Do you know who makes {x}?",
    "Please name who produces {x}.", "What is the origin of {x}: who makes it?", "Maker of {x}?",
    "My quiz asks who makes {x}.", "In one word, who makes {x}?", "Which one provides us with {x}?",
    "Who should be thanked for {x}?",
)  # fmt: skip


def _table(name: str, table: dict[str, str], phrasings: tuple[str, ...], statement: str) -> Family:
    """A family from a table of x to y; every other y is a rival."""
    answers = sorted(set(table.values()))
    facts = tuple(
        Fact(x, {"x": x}, _sentence(statement.format(x=x, y=y)), y, tuple(a for a in answers if a != y))
        for x, y in table.items()
    )
    return Family(name, phrasings, choose(facts))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


FAMILIES = (
    _table("capital", CAPITALS, CAPITAL_PHRASINGS, "The capital of {x} is {y}."),
    _table("colour", COLOURS, COLOUR_PHRASINGS, "The colour is {y}."),
    _table("opposite", OPPOSITES, OPPOSITE_PHRASINGS, "The opposite is {y}."),
    _table("young", YOUNG, YOUNG_PHRASINGS, "A young {x} is called {y}."),
    _table("kind", {w: kind for kind, words in KINDS.items() for w in words.split()}, KIND_PHRASINGS, "It is {y}."),
    _table("producer", PRODUCERS, PRODUCER_PHRASINGS, "It comes from the {y}."),
)
