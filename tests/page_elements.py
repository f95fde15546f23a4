"""A page as a browser reads it."""

from html.parser import HTMLParser

FETCHING = ("src", "href", "xlink:href", "action", "data", "poster", "srcset", "formaction", "background")


class Elements(HTMLParser):
    """Tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)
