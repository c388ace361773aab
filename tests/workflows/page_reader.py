"""A page as a browser takes it apart: tags, addresses and text."""

import base64
import hashlib
import re
from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style and script."""

    def __init__(self, source):
        super().__init__()
        self.source, self.tags, self.words, self._hidden = source, [], [], None
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

    @property
    def scripts(self):
        """Scripts that run; others hold data."""
        return re.findall(r"<script>(.*?)</script>", self.source, re.DOTALL)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def addresses(self):
        return [a[k] for _, a in self.tags for k in ("src", "href", "srcset", "action") if k in a]


def check_self_contained(page):
    """No request leaves the page; each picture is inside and is described; language is said."""
    for address in page.addresses:
        inside = ("data:image/png;base64,", "data:text/tab-separated-values;", "#")
        assert address.startswith(inside) or ":" not in address
        assert not address.startswith(("/", "//"))
    for image in page.all("img"):
        assert image["src"].startswith("data:image/png;base64,")
        assert len(image["alt"]) > 10
    assert page.all("html")[0]["lang"] == "en"
    assert not page.all("link")
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = page.all("meta")[2]["content"]
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    data = [script for script in page.all("script") if script]
    assert {script["type"] for script in data} <= {"application/json", "application/octet-stream"}
