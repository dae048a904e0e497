"""rendering one page reads the very same cache key once per link.

Link: wagtail/wagtail#3350 (and #3188).  A small demo site made 39 identical cache reads for one home
page, because every page URL asked the cache for the same list of site roots; the fix keeps the list on
the request.

Unit of work: request().  Size n: links in the menu.
Expected finding: duplicate call: site_root_paths() -> GET "site_root_paths" runs n times in one request
with identical arguments and an identical result (and parses the same JSON n times).
Memoise for the length of the request.
"""

import json

import fakeredis
from flask import Flask, render_template_string

SIZES = (10, 39)
cache = fakeredis.FakeRedis(version=7)
app = Flask(__name__)
MENU = "<ul>{% for page in pages %}<li><a href='{{ page.full_url() }}'>{{ page.title }}</a></li>{% endfor %}</ul>"


def site_root_paths() -> list[list[str]]:
    raw = cache.get("site_root_paths")
    if raw is None:
        raw = json.dumps([[f"/home-{i}/", f"https://site-{i}.test"] for i in range(30)])
        cache.set("site_root_paths", raw, ex=3600)
    return json.loads(raw)


class Page:
    def __init__(self, number: int):
        self.title = f"Page {number}"
        self.path = f"/home-{number % 30}/page-{number}/"

    def full_url(self) -> str:
        for prefix, root in site_root_paths():
            if self.path.startswith(prefix):
                return root + self.path[len(prefix) - 1 :]
        return self.path


@app.get("/<int:links>")
def home(links: int) -> str:
    return render_template_string(MENU, pages=[Page(i) for i in range(links)])


def request(links: int) -> str:
    return app.test_client().get(f"/{links}").get_data(as_text=True)


def main(n: int) -> int:
    site_root_paths()
    return len(request(n))


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
