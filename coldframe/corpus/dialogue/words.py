"""The words by which speakers are told."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VERBS = _words(
    """
    acknowledged acquiesced added adds admitted advised affirmed agreed announced answered answers apologised
    apologized approved argued asked asks assented asserted barked began begged begins bellowed blurted boasted
    breathed broke|in burst|out cautioned chimed|in chuckled commanded commented complained conceded concluded
    confessed continued continues corrected coughed countered cried cries croaked declared demanded drawled echoed
    ejaculated ended enquired exclaimed exclaims explained faltered finished gasped giggled groaned growled grumbled
    grunted hinted hissed implored inquired insisted interrupted lamented laughed moaned mumbled murmured mused
    muttered nodded objected observed observes offered ordered panted persisted pleaded proceeded pronounced
    protested pursued put|in queried questioned quoth reflected reiterated rejoiced rejoined reminded remarked
    remarks repeated replied replies reported requested responded resumed retorted returned returns roared said sang
    say says screamed shot|back shouted shrieked shrugged sighed smiled snapped snarled sneered sobbed spoke
    stammered stated stuttered suggested thought thundered told urged ventured volunteered vowed wailed warned
    went|on whimpered whined whispered wondered yelled
    """
)
"""Verbs of saying, as they stand beside speech; | is a blank."""

TITLES = _words(
    """
    Mr Mrs Miss Ms Messrs Dr Doctor Sir Lady Lord Madame Madam Mme Mlle Monsieur Captain Colonel Major General
    Inspector Sergeant Professor Father Mother Aunt Uncle Cousin Sister Brother King Queen Prince Princess Duke
    Duchess Count Countess Baron Judge Don Signor Signora Signorina Herr Frau Fraulein Master Mistress Old Young
    Little Poor Dear
    """
)
"""What may stand before a name."""

HE = frozenset(
    _words(
        """
        he mr sir lord man boy gentleman father brother uncle husband son king prince duke count baron monsieur
        captain colonel doctor master lad fellow butler footman herr don signor major general inspector sergeant
        professor grandfather nephew policeman vicar judge
        """
    )
)
"""Who is a he."""

SHE = frozenset(
    _words(
        """
        she mrs miss ms lady madame madam mme mlle woman girl mother sister aunt wife daughter queen princess
        duchess countess nurse maid widow mistress frau fraulein signora signorina niece grandmother governess
        housekeeper landlady
        """
    )
)
"""Who is a she."""

NOT_NAMES = frozenset(
    _words(
        """
        The A An And But Then So Here There What When Where Why How Who Yes No Oh Ah Well Now It This That These
        Those Not In On At To For From With As If All One Two After Before Again Presently Even Still Suddenly Such
        Nothing Something Everybody Nobody Neither Both Only Once By Of Or Nor Never Meanwhile Perhaps While Though
        His Her My Their Our Your Its
        """
    )
)
"""Capitalised at the beginning of a sentence, and nobody's name."""

NOT_CALLED = frozenset(
    _words(
        """
        well yes no oh ah and but so then come now why what nay indeed perhaps certainly nonsense never nothing
        there here good look stop true really please thank always ay aye hush quite exactly eh hallo silence still
        listen see wait god heaven heavens
        """
    )
)
"""Stands between marks as a name would, and calls nobody."""

NO_SPEAKER = frozenset(
    _words(
        """
        ACT SCENE CURTAIN THE END PROLOGUE EPILOGUE FINIS CONTENTS PERSONS PREFACE
        """
    )
)
"""Stands in a play as a speaker's name would."""
