"""What a chunk is found to speak of, without an LLM."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.extraction.keyphrase import KeyphraseExtractor, query_names
from localmind.extraction.port import Passage
from localmind.graph.naming import entity_key


def extract(text, *, title="", heading=""):
    return KeyphraseExtractor().extract([Passage(title, heading, text)])[0].extraction


def names(text, **above):
    return [entity.name for entity in extract(text, **above).entities]


def types(text):
    return {entity.name: entity.type for entity in extract(text).entities}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("It was Christopher Nolan who made it.", "Christopher Nolan"),
        ("He met the Duke of Wellington there.", "Duke of Wellington"),
        ("A work by Ludwig van Beethoven.", "Ludwig van Beethoven"),
        ("We read The Lord of the Rings by J. R. R. Tolkien.", "Lord of the Rings"),
        ("We read The Lord of the Rings by J. R. R. Tolkien.", "J. R. R. Tolkien"),
        ("They moved to New York City in 1999.", "New York City"),
        ("He stayed in St. Louis for years.", "St. Louis"),
        ("It runs on Windows 11 as well.", "Windows 11"),
        ("The film Gone With the Wind won.", "Gone With the Wind"),
        ("They work at the Institute for Advanced Study now.", "Institute for Advanced Study"),
        ("We asked Dr. Smith of the University of Oxford about it.", "Smith"),
        ("Estudian en Madrid y Barcelona.", "Barcelona"),
        ("They use OpenVINO here.", "OpenVINO"),
        ("It is written in C++ and C# alike.", "C++"),
        ("Call read_csv() from pandas.", "read_csv()"),
        ("A data.frame is returned.", "data.frame"),
        ("See NASA for more.", "NASA"),
        ("Redis wakes the workers.", "Redis"),
        ("After years, OpenAI's GPT-4 came.", "GPT-4"),
        ("At the end\nof the road lies San\nFrancisco, of course.", "San Francisco"),
    ],
)
def test_proper_names_are_found(text, name):
    assert name in names(text)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("a generalized linear model is fitted. the generalized linear model converges.", ["generalized linear model"]),
        ("christopher nolan directed inception in 2010, with leonardo dicaprio.", ["christopher nolan", "inception", "leonardo dicaprio"]),
        (
            "Künstliche Intelligenz braucht neuronale Netze. Die Vorratsdatenspeicherung bleibt umstritten.",
            ["neuronale Netze", "Vorratsdatenspeicherung"],
        ),
        ("L'apprentissage automatique est utile; l'apprentissage automatique est partout.", ["apprentissage automatique"]),
        (
            "Las redes neuronales son útiles y las redes neuronales están en la Universidad de Buenos Aires.",
            ["redes neuronales", "Universidad de Buenos Aires"],
        ),
        ("Нейронные сети важны, и нейронные сети есть везде. Их изучал Лев Толстой.", ["нейронные сети", "Лев Толстой"]),
        ("Τα νευρωνικά δίκτυα και τα νευρωνικά δίκτυα του Πανεπιστημίου Αθηνών.", ["νευρωνικά δίκτυα", "Πανεπιστημίου Αθηνών"]),
        ("人工知能は、人間の知能をコンピュータで実現する技術である。人工知能の歴史。", ["人工知能", "コンピュータ"]),
        ("机器学习是人工智能的一个分支。", ["机器学习", "人工智能"]),
    ],
    ids=["en", "lower case", "de", "fr", "es", "ru", "el", "ja", "zh"],
)
def test_terms_are_found_in_many_languages(text, terms):
    found = {name.casefold() for name in names(text)}

    assert {term.casefold() for term in terms} <= found


@pytest.mark.parametrize(
    "junk",
    [
        "Figure 3 and Table 3, see Section 4.2 of Chapter 12.",
        "Usage. Arguments. Examples. Value. Details. Note.",
        "In January 2020, on Monday, at 10 am. 1234, 5.678 and 9/10.",
        "https://example.com/some/path/tail and www.example.org/else or me@example.org",
        "x y z A. B. C.",
        "the of and which however whereas about",
        "Der die das und oder aber. Siehe Abbildung 4 in Kapitel 2 auf Seite 7.",
        "Voir la figure 2 du chapitre 4.",
        ". . . . . . . . 12",
        "",
        "   \n\n\t",
    ],
)
def test_furniture_names_nothing(junk):
    assert names(junk) == []


def test_a_first_words_capital_alone_makes_no_name():
    assert types("Directors like films. Nobody knows Vienna.").get("Vienna") == "name"
    assert "name" not in {kind for name, kind in types("Directors like films.").items() if name.casefold() == "directors"}


def test_an_abbreviation_is_related_to_what_it_stands_for():
    text = "The Message Queue (MQ) connects services. RAG (retrieval augmented generation) and the central processing units (CPUs) help."

    pairs = {(r.source, r.target) for r in extract(text).relations if r.type == "abbreviation"}

    assert pairs == {("MQ", "Message Queue"), ("RAG", "retrieval augmented generation"), ("CPUs", "central processing units")}


@pytest.mark.parametrize("text", ["He wrote it (see below) all.", "We went home (UK) again.", "Their budget (EU)."])
def test_a_bracket_is_not_always_an_abbreviation(text):
    assert not [relation for relation in extract(text).relations if relation.type == "abbreviation"]


def test_what_shares_a_sentence_is_related_and_more_so_the_fewer_share_it():
    text = "Ada Lovelace met Charles Babbage. In Paris were Mary Somerville, Michael Faraday, Charles Dickens and Charles Wheatstone."

    weights = {frozenset((r.source, r.target)): r.weight for r in extract(text).relations}

    assert frozenset(("Ada Lovelace", "Mary Somerville")) not in weights
    assert weights[frozenset(("Ada Lovelace", "Charles Babbage"))] > weights[frozenset(("Mary Somerville", "Michael Faraday"))]


def test_spellings_and_last_names_count_for_one_entity():
    text = "Data frames are tables. A data frame has columns, and the Data-Frame rows. Ada Lovelace wrote. Then Lovelace rested."

    weights = {entity_key(entity.name): entity.weight for entity in extract(text).entities}

    assert weights["data frame"] > 1
    assert weights["ada lovelace"] > 2 and "lovelace" not in weights


def test_of_terms_within_terms_the_one_said_more_often_stays_and_of_two_alike_the_longer():
    assert names("Here the search path matters and the search path is long") == ["search path"]
    assert "long search path" not in names("a search path, the search path and the broken search path entry")


def test_more_often_named_weighs_more():
    entities = extract("We saw Kyoto. Then Kyoto again, and Osaka. At last Kyoto.").entities

    assert [entity.name for entity in entities][:2] == ["Kyoto", "Osaka"]
    assert entities[0].weight > entities[1].weight


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("They joined the Deutsche Bank AG in 1990.", "Deutsche Bank AG", "organisation"),
        ("A talk at the University of Oxford then.", "University of Oxford", "organisation"),
        ("It flows into the Hudson River there.", "Hudson River", "place"),
        ("After the Crimean War he left.", "Crimean War", "event"),
        ("It was J. R. R. Tolkien himself.", "J. R. R. Tolkien", "person"),
        ("We met President Barack Obama there.", "President Barack Obama", "person"),
        ("Call lm() for it.", "lm()", "technology"),
        ("It runs on Windows 11, too.", "Windows 11", "product"),
        ("See report_final.pdf for it.", "report_final.pdf", "document"),
        ("The search path matters; the search path is long.", "search path", "concept"),
    ],
)
def test_a_names_own_words_tell_its_type(text, name, kind):
    assert types(text)[name] == kind


def test_a_title_that_the_text_takes_up_and_the_nearest_heading_are_entities():
    text = "Christopher Edward Nolan is a director who made many of the pictures that people know."

    assert "Christopher Nolan" in names(text, title="Christopher Nolan (director)")
    assert "Data frames" in names("Columns have names.", heading="Basics › Data frames")


@pytest.mark.parametrize(
    ("title", "heading"),
    [
        ("An R Manual", "Chapter 2"),
        ("scan_004.pdf", "3.1"),
        ("Annual Accounts", "Introduction"),
        ("", "How to use it at all when it rains"),
    ],
)
def test_other_titles_and_headings_are_not(title, heading):
    found = {entity_key(name) for name in names("Columns have names here.", title=title, heading=heading)}

    assert not found & {entity_key(title), entity_key(heading)}


def test_calls_are_kept_of_program_code_and_its_variables_are_not():
    found = names("Fit the model as follows.\n> fit <- lm(yield ~ dose, data = trial)\n> summary(fit)\nThen look at it.")

    assert {"lm()", "summary()"} <= set(found)
    assert not {"dose", "trial", "fit"} & set(found)


def test_there_is_an_end_to_what_one_chunk_gives():
    extraction = extract(" ".join(f"Then Anna{chr(97 + n)} Bert{chr(97 + n)} met Carl{chr(97 + n)} Dora{chr(97 + n)}." for n in range(26)))

    assert len(extraction.entities) == 16
    assert len(extraction.relations) <= 12


@given(
    st.text(max_size=300) | st.from_regex(r"([A-Za-z]{1,8}[ .,'()&\n-]{1,2}){0,40}", fullmatch=True),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_any_text_gives_a_sound_extraction_and_the_same_again(text, title, heading):
    extraction = extract(text, title=title, heading=heading)

    assert extraction == extract(text, title=title, heading=heading)
    keys = [entity_key(entity.name) for entity in extraction.entities]
    assert all(keys) and len(set(keys)) == len(keys) <= 16 + 5
    known = {entity.name for entity in extraction.entities}
    assert all({r.source, r.target} <= known and r.source != r.target and r.weight > 0 for r in extraction.relations)


@pytest.mark.parametrize("piece", ["a::", "a.", "A&", "AB (cd ef) ", ". ", "<-", "1.,", "'s", "a@", "学是", "Ab Cd of ", "\n ", "(", "a_"])
def test_no_text_takes_longer_than_its_length(piece):
    def seconds(count):
        start = time.process_time()
        extract(piece * count)
        return time.process_time() - start

    seconds(100)
    short, long = (min(seconds(count) for _ in range(3)) for count in (2_000, 20_000))

    assert long < 40 * max(short, 0.002), "ten times the text may not take a hundred times as long"


class TestQueryNames:
    def test_names_terms_and_rows_of_words_are_candidates(self):
        candidates = query_names("Who directed the film Inception with Leonardo DiCaprio?")

        assert {"Leonardo DiCaprio", "Inception"} <= set(candidates)

    def test_lower_case_queries_name_the_same(self):
        keys = {entity_key(name) for name in query_names("what did christopher nolan's wife produce")}

        assert {"christopher nolan", "wife"} <= keys

    def test_a_name_of_stop_words_can_be_asked_for(self):
        assert "who framed roger rabbit" in {entity_key(name) for name in query_names("Who is in Who Framed Roger Rabbit")}

    @pytest.mark.parametrize("query", ["", "?!", "the of and", "a"])
    def test_a_query_that_names_nothing_gives_nothing(self, query):
        assert query_names(query) == []

    def test_longest_first_and_no_more_than_a_hundred_and_twenty(self):
        candidates = query_names(" ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(200)))

        lengths = [name.count(" ") for name in candidates]
        assert len(candidates) == 120
        assert lengths == sorted(lengths, reverse=True)

    def test_each_name_once(self):
        keys = [entity_key(name) for name in query_names("Data frames, data-frames or a data.frame? The data frame!")]

        assert len(keys) == len(set(keys))
