"""What a call survives: nodes, agents and the registry that die, links that are cut, nodes that are drained."""

import asyncio
import os
import statistics
import time

import numpy as np
import pytest
from peer import level, until
from planet import Balancer

RUNS = int(os.environ.get("TRADEWIND_GAP_RUNS", "1"))
"""More than one measures the gaps; one only shows that they are bounded."""


def hears_now(listener, identity: str) -> bool:
    ear = listener.ears.get((identity, "voice"))
    if not ear or time.monotonic() - ear.at > 0.1 or len(ear.blocks) < 6:
        return False
    return level(np.concatenate(list(ear.blocks)[-6:])) > 500


async def gap(listener, identity: str, seconds: float) -> float:
    """The longest time without sound of somebody within the next seconds; ends early once it is over."""
    start = time.monotonic()
    last, longest = start, 0.0
    while time.monotonic() < start + seconds:
        now = time.monotonic()
        if hears_now(listener, identity):
            longest, last = max(longest, now - last), now
            if longest > 0.3 and now > start + 3:
                break
        await asyncio.sleep(0.01)
    return max(longest, time.monotonic() - last)


@pytest.fixture
async def entry(planet):
    """Where clients of the Far East connect: to Tokyo, or to Virginia if Tokyo takes no calls."""
    async with Balancer([planet.nodes["tokyo"], planet.nodes["virginia"]]) as balancer:
        yield balancer


@pytest.fixture
async def call(join, entry):
    shopper, agent = await join("shopper", url=entry.url), await join("agent", "paris")
    await asyncio.gather(shopper.speak(440), agent.speak(880))
    await asyncio.gather(shopper.hears("agent", 880), agent.hears("shopper", 440))
    return shopper, agent


async def both_gaps(shopper, agent, seconds: float) -> float:
    return max(await asyncio.gather(gap(agent, "shopper", seconds), gap(shopper, "agent", seconds)))


def report(what: str, gaps: list[float]) -> None:
    print(f"\n{what}: {len(gaps)} runs, median {statistics.median(gaps):.2f} s, worst {max(gaps):.2f} s")


@pytest.mark.timeout(900)
async def test_a_killed_node_costs_a_call_seconds_and_not_its_life(call, planet):
    shopper, agent = call
    gaps = []
    for run in range(RUNS):
        tokyo_is_here = run % 2 == 0
        dies, lives = ("tokyo", "virginia") if tokyo_is_here else ("virginia", "tokyo")
        planet.kill(dies)
        gaps.append(await both_gaps(shopper, agent, 20))
        await asyncio.gather(agent.hears("shopper", 440, seconds=20), shopper.hears("agent", 880, seconds=20))
        planet.start_server(dies)
        planet.wait_ready(dies, lives, "paris")
    report("audio gap after a node was killed", gaps)
    assert statistics.median(gaps) < (3.0 if RUNS > 1 else 6.0)


@pytest.mark.timeout(900)
async def test_a_drained_node_hands_its_calls_over(call, planet):
    shopper, agent = call
    gaps = []
    for run in range(RUNS):
        leaves, takes = ("tokyo", "virginia") if run % 2 == 0 else ("virginia", "tokyo")
        planet.drain(leaves)
        gaps.append(await both_gaps(shopper, agent, 15))
        await asyncio.gather(agent.hears("shopper", 440, seconds=15), shopper.hears("agent", 880, seconds=15))
        planet.terminate(leaves)
        planet.start_server(leaves)
        planet.wait_ready(leaves, takes, "paris")
    report("audio gap while a node was drained", gaps)
    assert statistics.median(gaps) < (1.5 if RUNS > 1 else 4.0)


@pytest.mark.timeout(180)
async def test_a_minute_without_the_registry_drops_no_call(call, planet, join):
    shopper, agent = call
    planet.kill_nats()
    worst = await both_gaps(shopper, agent, 60)
    assert worst < 2.0, "the sound goes on; a busy machine may hold it up for a moment"
    late = await join("late", "paris")
    await late.hears("shopper", 440), "those who join meanwhile are in the room"
    planet.start_nats()
    await asyncio.sleep(5)
    newcomer = await join("newcomer", "virginia")
    await newcomer.hears("agent", 880, seconds=15)
    assert not shopper.told("disconnected") and not agent.told("disconnected")


@pytest.mark.timeout(120)
async def test_a_cut_link_heals_by_itself(call, planet):
    shopper, agent = call
    planet.cut("tokyo", "paris")
    await until(lambda: not hears_now(agent, "shopper"), "the sound stops", 10)
    await until(
        lambda: any(e[0].identity == "shopper" for e in agent.told("connection_quality_changed")),
        "the agent is told of the lost connection", 15)
    assert agent.remote("shopper"), "the shopper is still in the room"
    planet.heal("tokyo", "paris")
    await asyncio.gather(agent.hears("shopper", 440, seconds=20), shopper.hears("agent", 880, seconds=20))


@pytest.mark.timeout(120)
async def test_a_dead_edge_agent_disturbs_no_call(call, planet):
    shopper, agent = call
    planet.kill_agent("tokyo")
    assert await both_gaps(shopper, agent, 8) < 0.5
    planet.start_agent("tokyo")
    assert await both_gaps(shopper, agent, 8) < 0.5


@pytest.mark.timeout(300)
async def test_a_rolling_restart_of_all_nodes_ends_no_call(planet, join):
    names = list(planet.nodes)
    async with Balancer([planet.nodes[n] for n in names]) as east, Balancer([planet.nodes[n] for n in reversed(names)]) as west:
        shopper, agent = await join("shopper", url=east.url), await join("agent", url=west.url)
        await asyncio.gather(shopper.speak(440), agent.speak(880))
        for name in names:
            planet.drain(name)
            await asyncio.sleep(3)
            planet.terminate(name)
            planet.start_server(name)
            planet.wait_ready(*names)
        await asyncio.gather(agent.hears("shopper", 440, seconds=20), shopper.hears("agent", 880, seconds=20))
        assert not shopper.told("disconnected") and not agent.told("disconnected")
