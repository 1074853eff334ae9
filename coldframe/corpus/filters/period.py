"""Whether a text belongs to its time: years it speaks of, and things that were not there yet."""

from __future__ import annotations

import re

import numpy as np

from coldframe.corpus.filters.texts import Floats, Texts, share

#: A word or phrase -> the year before which nobody could have written it in its common sense (first uses as dated by
#: general dictionaries, rounded down). For corpora of an age: nothing here is wrong in a text of today.
ANACHRONISMS: dict[str, int] = {
    "photograph": 1835, "telegram": 1850, "telephone": 1870, "phonograph": 1875, "light bulb": 1880, "automobile": 1885,
    "bacteria": 1840, "dinosaur": 1841, "scientist": 1834, "electron": 1891, "x-ray": 1895, "radium": 1898,
    "aeroplane": 1890, "airplane": 1900, "airport": 1910, "movie": 1908, "hollywood": 1910, "television": 1907,
    "radio station": 1912, "world war": 1914, "soviet": 1917, "fascist": 1919, "robot": 1920, "penicillin": 1929,
    "antibiotic": 1941, "nazi": 1923, "radar": 1940, "atomic bomb": 1914, "nuclear": 1840, "computer program": 1945,
    "plastic bag": 1940, "television set": 1930, "jet engine": 1940, "transistor": 1948, "united nations": 1942,
    "holocaust survivor": 1945, "software": 1958, "laser": 1957, "astronaut": 1929, "satellite tv": 1970,
    "microwave oven": 1950, "video game": 1970, "genome": 1920, "dna": 1931, "laptop": 1983, "personal computer": 1975,
    "e-mail": 1979, "email": 1979, "internet": 1974, "website": 1992, "web site": 1991, "web page": 1991,
    "online": 1950,
    "cell phone": 1983, "mobile phone": 1945, "smartphone": 1980, "google": 1998, "facebook": 2004, "youtube": 2005,
    "twitter account": 2006, "wikipedia": 2001, "blog": 1998, "podcast": 2004, "wi-fi": 1999, "bitcoin": 2008,
    "hashtag": 2007, "selfie": 2002, "iphone": 2007, "covid": 2020, "chatgpt": 2022, "project gutenberg": 1971,
    "isbn": 1967, "e-book": 1971, "ebook": 1971, "copyright law": 1900, "public domain in": 1900,
}  # fmt: skip
_YEAR = re.compile(r"(?<![\d.,:/$£€#-])(1[0-9]{3}|20[0-9]{2})(?![\d%/:]|[.,]\d)")
_COPYRIGHT = re.compile(
    r"(?:copyright|©|\(c\)|first published|published(?: in)?|printed in)\W{0,3}(?:\w+ ){0,3}?(1[0-9]{3}|20[0-9]{2})\b",
    re.IGNORECASE,
)
_TITLE_PAGE = 4000
"""Characters at a text's beginning among which its own date of publication is looked for."""


def measure(texts: Texts, last_year: int) -> dict[str, Floats]:
    """Of each text: by how many years the year that it says it was published in is later than `last_year`, and its
    signs of a later time per thousand words: things that came later, and later years [N]."""
    late = texts.phrases([phrase for phrase, year in ANACHRONISMS.items() if year > last_year]).astype(np.float64)
    years_late = np.zeros(len(texts))
    for number, text in enumerate(texts.texts):
        late[number] += sum(int(year) > last_year for year in _YEAR.findall(text))
        said = [int(year) for year in _COPYRIGHT.findall(text[:_TITLE_PAGE])]
        years_late[number] = max(0, max(said, default=0) - last_year)
    return {"years_late": years_late, "anachronisms": 1000 * share(late, texts.words.counts)}
