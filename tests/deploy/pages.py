"""What a page of format web says, read from its document."""

import re
from pathlib import Path

from policy_distill.exporters.web import page

HERE = Path(page.__file__).parent


def dataset(document):
    """Return what the page counted, by name."""
    (root,) = re.findall(r"<html[^>]*>", document)
    return dict(re.findall(r'data-(\w+)="([^"]*)"', root))


def texts(document, name):
    """Return the text of an element, markup left out, up to where the next section begins."""
    inner = document.partition(f'id="{name}">')[2].partition("</section>")[0]
    return re.sub(r"<[^>]*>", " ", inner).strip() if name != "action" else inner.partition("<")[0]
