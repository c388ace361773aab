"""A page as a browser takes it apart: tags, addresses and text."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style and script."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.words, self._hidden = [], [], None
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag if tag in ("style", "script") else self._hidden

    def handle_endtag(self, tag):
        self._hidden = None if tag == self._hidden else self._hidden

    def handle_data(self, data):
        if self._hidden is None:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def addresses(self):
        return [a[k] for _, a in self.tags for k in ("src", "href", "srcset", "action") if k in a]


def check_self_contained(page):
    """No request leaves the page; each picture is inside and is described; language is said."""
    for address in page.addresses:
        assert address.startswith(("data:image/png;base64,", "#")) or ":" not in address
        assert not address.startswith(("/", "//"))
    for image in page.all("img"):
        assert image["src"].startswith("data:image/png;base64,")
        assert len(image["alt"]) > 10
    assert page.all("html")[0]["lang"] == "en"
    assert not page.all("link")
    assert len(page.all("script")) == 1
