"""Where the time of a call went."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Timings:
    """Seconds of one call, stage by stage; a stage that the call has not is 0.

    Clouds that go through a call together share one `Timings`.

    Attributes:
        segment: cutting a scene into candidates.
        prepare: checking, thinning, scaling and ordering the points of every cloud.
        encode: the encoder's network.
        score: comparing with words, and making the answer.
        clouds: that the call was for: the candidates of a scene, the clouds of `classify_many`.
    """

    segment: float = 0.0
    prepare: float = 0.0
    encode: float = 0.0
    score: float = 0.0
    clouds: int = 1

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return self.segment + self.prepare + self.encode + self.score

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON: seconds, and the number of clouds."""
        return asdict(self)


#: Of answers that nobody timed.
NOT_TIMED = Timings()
