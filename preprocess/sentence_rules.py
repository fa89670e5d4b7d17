"""The default sentence splitter in Python: the definition that csrc/sentences.cpp is held to.

text --every . ! ? and the like--> what stands before and behind it --> end of a sentence or not

A sentence keeps the white space behind it, so that the sentences of a text, joined, are the text.
"""

BLANK = " \t\n\r\x0b\x0c\u00a0\u3000"
# These end a sentence where white space (or the end of the text) follows; the full stop alone needs a closer look.
STOPS = ".!?\u2026\u203c\u2047\u2048\u2049\u0964\u0965\u061f\u06d4\u0589\u1362\u104b\u17d4"
# These end one by themselves.
WIDE_STOPS = "\u3002\uff01\uff1f\uff61"
CLOSERS = "\"')]}\u201d\u2019\u00bb\u203a\u300d\u300f\uff09\u3011\u300b\u3009\uff3d*_"
OPENERS = "\"'([{\u201c\u2018\u00ab\u2039\u201e\u00bf\u00a1\u300c\u300e\uff08*_#"
# A sentence does not begin with one of these.
JOINERS = ",;:-\u2013\u2014%=+/&|<>)]}"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEVER_LAST = _words(
    """
    Abs Adm Anm Capt Cf Cmdr Col Cpt Dr Dra Drs Fr Frau Gen Gov Hon Hr Insp Lt Maj Messrs Mlle Mme
    Mr Mrs Ms Nr Pres Prof Rep Rev Sen Sgt Sra Supt al approx bzw ca cf d.h e.g eg esp excl i.e ie
    incl nr op resp u.a vgl viz vs z.B
    """
)
BEFORE_NUMBERS = _words(
    """
    App Apr Art Aug Ch Chap Cor Dec Deut Eq Eqs Ex Feb Fig Figs Gen Isa Jan Jn Jul Jun Lev Lk Mar
    Matt Mk No Nos Nov Num Oct P Pp Ps Pt Ref Rev Rom Rs Sec Sep Sept Tab Ver Vol app art ch chap cl
    eq fig figs l ll no nos p par para pp pt ref sec v ver vol vv
    """
)
# Abbreviations that may end a sentence: they do where a word follows that often begins one.
SOMETIMES_LAST = _words(
    """
    Apr Ariz Assn Aug Ave BA Bd Blvd Bros Calif Co Colo Conn Corp Dec Del Dept Esq Ext Feb Fla Fri
    Ft Gmbh Govt Hist Hwy Ill Inc Ind Int Intl Is Jan Jr Jul Jun Ky La Ltd MA MD Mar Mass Md Mfg
    Mich Minn Miss Mo Mon Mt Natl Neb Nov Oct Okla Ore Penn Ph PhD Pty Pvt Rd Sat Sep Sept Sr St Ste
    Sun Tel Tenn Tex Thu Thur Thurs Tr Tue Tues Univ Va Vt Wash Wed Wis Wyo avg cm ed eds est etc
    ext ft hr hrs in kg km lb lbs max mfg min misc mm oz sp spp sq subsp tel trans usw var
    """
)
STARTERS = _words(
    """
    A Aber About After All Also Although An And Another Any Are As At Because Before Both But By Can
    Could Das Der Did Die Do Does During Each Ein Eine El Elle Er Es Even Every Few Finally First
    For From Had Has Have He Her Here His How However I Ich If Il Im In Indeed Instead Is It Its
    Just Las Last Later Le Les Let Los Many Maybe Meanwhile More Moreover Most Much My Neither Never
    Next No Nobody None Not Nothing Nous Now Of On Once One Only Or Other Our Perhaps Please Several
    She Should Sie Since So Some Soon Still Such That The Their Then There Therefore These They This
    Those Though Through Thus To Today Together Too Two Un Und Under Une Unless Until Was We Were
    What When Where Whether Which While Who Why Will Wir With Would Yes Yet You Your
    """
)
NO_WORD = frozenset(BLANK + STOPS + WIDE_STOPS + CLOSERS + OPENERS + JOINERS)
LONGEST_WORD = 24  # code points looked at before a full stop, and behind it


def is_lower(char: str) -> bool:
    """A lower-case letter of Latin-1, Greek or Cyrillic; of other letters nobody asks."""
    latin = "a" <= char <= "z" or "\u00df" <= char <= "\u00ff"
    return latin or "\u03b1" <= char <= "\u03c9" or "\u0430" <= char <= "\u045f"


def is_upper(char: str) -> bool:
    """An upper-case letter of the same scripts."""
    latin = "A" <= char <= "Z" or "\u00c0" <= char <= "\u00de"
    return latin or "\u0391" <= char <= "\u03a9" or "\u0400" <= char <= "\u042f"


def is_digit(char: str) -> bool:
    """An ASCII digit."""
    return "0" <= char <= "9"


def is_word(char: str) -> bool:
    """Part of a word: ASCII letters and digits, and all that is not ASCII, blank, stop, opener or closer."""
    if char < "\x80":
        return is_lower(char) or is_upper(char) or is_digit(char)
    return char not in NO_WORD


def sentence_starts(text: str) -> list[int]:
    """Where sentences begin, the first one (at 0) left out."""
    starts: list[int] = []
    i = 0
    while i < len(text):
        char = text[i]
        if char == "\n":
            end = _behind_blank_line(text, i)
            if end > i:
                if _has_content(text, starts[-1] if starts else 0, i) and end < len(text):
                    starts.append(end)
                i = end
                continue
        elif char in STOPS or char in WIDE_STOPS:
            first = i
            while i < len(text) and (text[i] in STOPS or text[i] in WIDE_STOPS):
                i += 1
            wide = text[i - 1] in WIDE_STOPS
            closers = i
            i = _behind_closers(text, i)
            blank = i
            while i < len(text) and text[i] in BLANK:
                i += 1
            if i == len(text):
                break
            if wide:
                ends = not (blank > closers and text[i] == "\u3068")  # a quotation that the sentence goes on from
            else:
                ends = i > blank and _ends_sentence(text, first, closers, i)
            if ends:
                starts.append(i)
            elif "\n" in text[blank:i]:
                i = blank  # a blank line may still end it
            continue
        i += 1
    return starts


def _has_content(text: str, begin: int, end: int) -> bool:
    return any(char not in BLANK for char in text[begin:end])


def _behind_blank_line(text: str, i: int) -> int:
    """Behind all white space from `i` on, if there are two line ends in it; else `i`."""
    end, lines = i, 0
    while end < len(text) and text[end] in BLANK:
        lines += text[end] == "\n"
        end += 1
    return end if lines > 1 else i


def _behind_closers(text: str, i: int) -> int:
    while i < len(text):
        if text[i] in CLOSERS:
            i += 1
            continue
        # A reference: [12]
        end = i + 1
        while end < len(text) and end - i < 5 and is_digit(text[end]):
            end += 1
        if text[i] != "[" or end == i + 1 or end >= len(text) or text[end] != "]":
            break
        i = end + 1
    return i


def _ends_sentence(text: str, stop: int, closers: int, behind: int) -> bool:
    i = behind
    while i < len(text) and text[i] in OPENERS:
        i += 1
    if i == len(text):
        return True
    following = text[i]
    if is_lower(following) or following in JOINERS:
        return False
    if closers - stop > 1 or text[stop] != ".":
        return True
    begin = stop
    while begin > 0 and stop - begin < LONGEST_WORD and (is_word(text[begin - 1]) or text[begin - 1] == "."):
        begin -= 1
    word = text[begin:stop]
    end = i
    while end < len(text) and end - i < LONGEST_WORD and is_word(text[end]):
        end += 1
    starter = text[i:end] in STARTERS
    if not word:
        return True
    if word in NEVER_LAST:
        return False
    if word in BEFORE_NUMBERS and is_digit(following):
        return False
    if word in SOMETIMES_LAST:
        return starter
    if is_digit(word[0]) and all(is_digit(char) for char in word):
        # An item of a list, or an ordinal number.
        if begin == 0 or text[begin - 1] == "\n":
            return False
        return len(word) > 2 or starter
    if len(word) == 1:
        if not is_upper(word):
            return True
        # An initial, unless it follows a lower-case word (plan B, so did I).
        before = begin
        while before > 0 and text[before - 1] == " ":
            before -= 1
        return before > 0 and is_lower(text[before - 1]) and (starter or word == "I")
    if "." in word:
        return starter or not all(len(part) <= 2 for part in word.split("."))
    return True
