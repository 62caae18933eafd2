"""Requests to judges."""

from rapport.simulator.requests import JudgeRequest


def asked(
    heard: str,
    offered: tuple[str, ...] = ("kiwi_fruit", "apple"),
    moves: tuple[tuple[int, str], ...] = ((1, "Stop"),),
    *,
    seed: int = 0,
    prompt: str = "You are a clerk. Answer in JSON.",
) -> JudgeRequest:
    return JudgeRequest(prompt, heard, offered, moves, seed)
