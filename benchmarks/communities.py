"""What communities cost: all anew over a graph of a million relations, and around a new document.

    .venv/bin/python benchmarks/communities.py --folder /tmp/communities-bench

A graph in the catalog's tables with groups that are known: each of the entities has most of its relations within its group. A second run on
the same folder measures without making it. Modularity is of the coarsest level; a share of pairs says how many relations within a
group were kept together.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from localmind.catalog.catalog import Catalog
from localmind.catalog.chunks import batched
from localmind.catalog.database import Database, sqlite_url
from localmind.catalog.migrate import migrate
from localmind.catalog.tables import entity, relation
from localmind.communities.clustering import Network, communities, network
from localmind.communities.finding import Edges
from localmind.communities.sql import SqlNetwork
from localmind.communities.upkeep import Upkeep
from localmind.embedding.onnx import LocalEmbedder
from localmind.graph.sql import SqlGraph
from localmind.ids import stable_id
from localmind.model import TenantId

TENANT = TenantId("bench")
BATCH = 20_000
WITHIN = 0.7
NEW_ENTITIES, NEW_RELATIONS = 40, 160


def add(database: Database, names: list[str], pairs: np.ndarray, weights: np.ndarray, first: int) -> None:
    values = [
        {"pk": first + n, "id": stable_id("entity", name), "tenant": TENANT, "key": name, "name": name, "type": "concept"}
        for n, name in enumerate(names)
    ]
    for batch in batched(values, BATCH):
        with database.write() as connection:
            connection.execute(sa.insert(entity), [{**row, "description": "", "mentions": 1 + row["pk"] % 7} for row in batch])
    rows = ((int(a), int(b), float(w)) for (a, b), w in zip(pairs, weights, strict=True))
    for batch in batched(rows, BATCH):
        with database.write() as connection:
            connection.execute(
                sa.insert(relation),
                [
                    {"tenant": TENANT, "source_pk": a, "target_pk": b, "type": "related", "description": "", "weight": w, "chunks": 1}
                    for a, b, w in batch
                ],
            )


def make(database: Database, entities: int, relations: int, group: int) -> None:
    random = np.random.default_rng(0)
    own = random.integers(0, entities // group, relations)
    source = own * group + random.integers(0, group, relations)
    near = own * group + random.integers(0, group, relations)
    target = np.where(random.random(relations) < WITHIN, near, random.integers(0, entities, relations))
    pairs = np.unique(np.sort(np.stack((source, target), axis=1), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]] + 1
    add(database, [f"group {n // group} entity {n}" for n in range(entities)], pairs, random.random(len(pairs)) + 0.5, 1)


def modularity(whole: Network, label: np.ndarray) -> float:
    """Newman's, of the nodes that have a label, in [-0.5, 1]."""
    rows = np.repeat(np.arange(whole.nodes), np.diff(whole.pointers))
    total = whole.weights.sum()
    same = label[rows] == label[whole.neighbors]
    degrees = np.bincount(label[rows], whole.weights)
    return float(whole.weights[same].sum() / total - ((degrees / total) ** 2).sum())


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--entities", type=int, default=200_000)
    parser.add_argument("--relations", type=int, default=1_000_000)
    parser.add_argument("--group", type=int, default=200)
    parser.add_argument("--words", action="store_true", help="also describe every community, and add a document")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    database = Database(sqlite_url(arguments.folder / "catalog.db"))
    migrate(database)
    catalog, source = Catalog(database), SqlNetwork(database)
    if not next(iter(source.entities(TENANT)), ()):
        make(database, arguments.entities, arguments.relations, arguments.group)
    print(f"before: {peak_mib():.0f} MiB")

    begun = time.perf_counter()
    mentions = {each.entity: each.mentions for batch in source.entities(TENANT) for each in batch}
    print(f"entities: {len(mentions):,} read in {time.perf_counter() - begun:.1f} s, {peak_mib():.0f} MiB")
    begun = time.perf_counter()
    edges = Edges(mentions)
    for ids in batched(edges.ids, BATCH):
        for links in source.leaving(TENANT, ids):
            edges.add(links)
    arrays = edges.arrays()
    print(f"relations: {len(arrays[0]):,} read in {time.perf_counter() - begun:.1f} s, {peak_mib():.0f} MiB")
    begun = time.perf_counter()
    whole = network(len(edges.ids), *arrays)
    found = communities(whole)
    took = time.perf_counter() - begun
    label = np.arange(len(found), len(found) + whole.nodes)
    for number, group in enumerate(found):
        if group.level == 0:
            label[group.members] = number
    levels = [sum(group.level == level for group in found) for level in range(3)]
    print(f"communities: {levels} by level in {took:.1f} s, {peak_mib():.0f} MiB, modularity {modularity(whole, label):.3f}")
    if arguments.words:
        with_words(arguments, database, catalog, source, len(mentions))


def with_words(arguments: argparse.Namespace, database: Database, catalog: Catalog, source: SqlNetwork, entities: int) -> None:
    embedder = LocalEmbedder(arguments.folder / "models")
    embedder.open()
    upkeep = Upkeep(catalog, SqlGraph(database), source, embedder, None)
    report = upkeep.update(TENANT)
    assert report is not None
    print(f"all: {report.described:,} of {report.communities:,} communities described, {report.took_s:.1f} s, {peak_mib():.0f} MiB")
    random = np.random.default_rng(entities)
    with database.read() as connection:
        first = connection.execute(sa.select(sa.func.max(entity.c.pk))).scalar_one() + 1
    own = first + random.integers(0, NEW_ENTITIES, NEW_RELATIONS)
    near = 1 + random.integers(0, arguments.group, NEW_RELATIONS)  # a document on the first group's subject
    pairs = np.unique(np.stack((near, own), axis=1), axis=0)
    add(database, [f"new {first + n}" for n in range(NEW_ENTITIES)], pairs, np.ones(len(pairs)), first)
    report = upkeep.update(TENANT)
    assert report is not None
    print(f"a document more: anew {report.is_anew}, {report.described:,} described, {report.took_s:.1f} s")
    report = upkeep.update(TENANT)
    assert report is not None
    print(f"nothing more: {report.described:,} described, {report.took_s:.1f} s")


if __name__ == "__main__":
    main()
