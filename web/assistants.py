"""The door for assistants: an index as tools of the Model Context Protocol.

Read-only, unless tagging is allowed: an assistant finds, looks at and is told about indexed
pictures, and changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.types import ToolAnnotations
from pydantic import Field

from retrieval.answering.base import Answer
from retrieval.search.heatmaps import place, word_heats
from retrieval.search.hit import Hit
from retrieval.search.records import hit_record
from web.asking import Asked, answer, explained, hit_of
from web.service import Service
from web.small_pictures import encoded, small_item
from web.state import status_record

INSTRUCTIONS = (
    "Finds photographs on this person's machine by what is in them. Ask `search` in plain English; "
    "`relevance` says how likely an answer fits, and where none fits, say so. Look at a picture "
    "with `get_picture` before describing it."
)
_MOST = 50
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
Id = Annotated[int, Field(ge=1, lt=2**63, description="The picture's id, from an answer.")]
Count = Annotated[int, Field(ge=1, le=_MOST, description="How many answers.")]
# What helps an assistant; the rest of a record would only fill its context.
_TOLD = ("rank", "score", "relevance", "fits", "path", "width_px", "height_px", "taken_at")


def assistants_server(service: Service, *, allow_tagging: bool = False) -> MCPServer:
    """The tools over one index; with `allow_tagging` one that tags pictures in it."""
    server: MCPServer = MCPServer("mmsearch", instructions=INSTRUCTIONS, log_level="WARNING")

    @server.tool(annotations=_READS)
    def search(
        question: Annotated[
            str,
            Field(
                max_length=2000,
                description="What is to be seen, in words; conditions may stand among them, as "
                "camera:X100, taken:2021-07, in:/folder, tag:people, -tag:people. Conditions "
                "alone list what fits, the newest first.",
            ),
        ],
        count: Count = 10,
        offset: Annotated[int, Field(ge=0, le=10_000, description="For the next page.")] = 0,
        only_fitting: Annotated[bool, Field(description="Leave out what does not fit.")] = False,
    ) -> list[dict[str, Any]]:
        """Find pictures by what is in them, best first."""
        asked = Asked.model_validate(
            {"q": question, "k": count, "offset": offset, "relevant": only_fitting}
        )
        return [_told(record) for record in answer(service, asked)["hits"]]

    @server.tool(annotations=_READS)
    def similar(picture: Id, count: Count = 10) -> list[dict[str, Any]]:
        """Find pictures that look like one."""
        engine = service.engine
        return [_record(hit) for hit in engine.similar(hit_of(engine, picture), count)]

    @server.tool(annotations=_READS)
    def explain(
        picture: Id, question: Annotated[str, Field(min_length=1, max_length=2000)]
    ) -> dict[str, str]:
        """Say in which part of a picture each word of a question was found, as `dog: left`.

        `not found` for a word that is not in it.
        """
        found = word_heats(explained(service.engine, picture, question))
        return {heat.word: place(heat.heat) if heat.found else "not found" for heat in found}

    @server.tool(annotations=_READS)
    def ask(
        question: Annotated[
            str,
            Field(
                min_length=1,
                max_length=2000,
                description="As: how many dogs are there? what colour is the car? is there snow?",
            ),
        ],
        pictures: Annotated[list[Id], Field(min_length=1, max_length=_MOST)],
    ) -> dict[str, str]:
        """Have a small model answer a question about pictures, by their ids.

        It knows yes and no, numbers, colours, things, places and what somebody does. `not sure`
        where its answer is little more than a guess: look at the picture then.
        """
        engine = service.engine
        found = engine.ask_many(question, [hit_of(engine, one) for one in pictures])
        return {str(one): _in_words(answer) for one, answer in zip(pictures, found, strict=True)}

    @server.tool(annotations=_READS)
    def get_picture(
        picture: Id,
        longest_side: Annotated[int, Field(ge=64, le=1568, description="In pixels.")] = 768,
    ) -> Image:
        """Look at a picture, made smaller, without its EXIF data."""
        with service.pictures.open(service.engine, picture) as (original, file):
            small = small_item(original, file, longest_side, service.decoders)
        return Image(data=encoded(small, "jpeg"), format="jpeg")

    @server.tool(annotations=_READS)
    def status() -> dict[str, Any]:
        """Say which folders are indexed, how many pictures, and with which model."""
        record = status_record(service)
        return {name: record[name] for name in ("pictures", "folders", "model", "failed")}

    if allow_tagging:

        @server.tool(
            annotations=ToolAnnotations(
                read_only_hint=False, destructive_hint=False, idempotent_hint=True
            )
        )
        def tag(
            pictures: Annotated[list[Id], Field(min_length=1, max_length=500)],
            add: Annotated[list[str], Field(max_length=20, description="Tags to give.")],
            remove: Annotated[list[str], Field(max_length=20, description="To take away.")],
        ) -> dict[str, int]:
            """Tag pictures in the index; their files stay as they are."""
            from indexer.hand_tags import change_tags

            folder = service.location.folder
            return {"changed": change_tags(pictures, add=add, remove=remove, index_dir=folder)}

    return server


def _in_words(answer: Answer | None) -> str:
    if answer is None:
        return "the picture cannot be read"
    return answer.text if answer.is_sure else f"not sure, perhaps {answer.text}"


def _record(hit: Hit) -> dict[str, Any]:
    return _told(hit_record(hit) | {"id": hit.item_id})


def _told(record: dict[str, Any]) -> dict[str, Any]:
    told = {"id": record["id"], **{name: record[name] for name in _TOLD}}
    told["score"] = round(record["score"], 4)
    if record["relevance"] is not None:
        told["relevance"] = round(record["relevance"], 3)
    facts = record["metadata"]
    told |= {name: facts[name] for name in ("title", "caption", "keywords") if name in facts}
    if record["captions"]:
        told["described"] = [caption["text"] for caption in record["captions"]]
    if record.get("like"):
        told["copies"] = [other["path"] for other in record["like"]]
    return told


def run_assistants(
    service: Service, *, port: int | None = None, allow_tagging: bool = False
) -> None:
    """Serve over standard input and output, or over HTTP at a port of this machine alone."""
    server = assistants_server(service, allow_tagging=allow_tagging)
    try:
        if port is None:
            server.run("stdio")
        else:
            # On a loopback host the SDK checks the Host and Origin headers.
            server.run("streamable-http", host="127.0.0.1", port=port)
    except KeyboardInterrupt:
        pass
    finally:
        service.close()
