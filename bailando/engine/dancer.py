"""The dancer: a bundle loaded once, from which any number of independent sessions dance."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from bailando.engine.backends import Backend, load_backend
from bailando.engine.body import BODY
from bailando.engine.bundle import Bundle
from bailando.engine.groove import CRITIC_FILE, Groove, GrooveCritic
from bailando.engine.manifest import Manifest
from bailando.engine.official_pose import LOWER_CHANNELS as POSITIONS_LOWER
from bailando.engine.official_pose import REPRESENTATION as POSITIONS
from bailando.engine.official_pose import UPPER_CHANNELS as POSITIONS_UPPER
from bailando.engine.session import FLOOR, MotionChunk, Session, SessionOptions, Snapshot
from bailando.engine.watchdog import WatchedBackend
from bailando.errors import BundleError, ConfigError
from bailando.motion.grounding import BodyConfig
from bailando.motion.pose import LOWER_CHANNELS, REPRESENTATION, UPPER_CHANNELS
from bailando.motion.skeleton import JOINT_NAMES, Skeleton
from bailando.music.features import FeatureSpec
from bailando.music.published_frames import read_published

_PLAYABLE = {REPRESENTATION: (UPPER_CHANNELS, LOWER_CHANNELS), POSITIONS: (POSITIONS_UPPER, POSITIONS_LOWER)}

__all__ = ["Dancer", "MotionChunk", "Session", "Snapshot", "default_bundle_path"]


def default_bundle_path() -> Path:
    """Return the place of the bundle that is shipped with the package."""
    assets = Path(str(files("bailando"))) / "assets"
    packed = assets / "default.zip"
    return packed if packed.is_file() else assets / "default"


class Dancer:
    """An immutable model; make one with `Dancer.open`.

    Attributes
    ----------
    manifest : Manifest
        The contract of its bundle.
    backend : Backend
        What runs its graphs.
    skeleton : Skeleton
        The body it moves.
    feature_spec : FeatureSpec
        The music features it hears, 60 times a second.
    published_spec : PublishedSpec, PublishedFrameSpec or None
        For the published models: how their features, one vector a token, come of the same sound.
    """

    def __init__(self, bundle: Bundle, backend: Backend) -> None:
        self.manifest = bundle.manifest
        self.backend = backend
        self.skeleton = Skeleton.from_dict(self.manifest.skeleton)
        self.published_spec = read_published(self.manifest.features)
        self.feature_spec = (
            FeatureSpec.from_dict(dict(self.manifest.features))
            if self.published_spec is None
            else self.published_spec.base
        )
        frames = self.manifest.frames_per_token
        music = self.published_spec.dim if self.published_spec else frames * self.feature_spec.frame_dim
        _check_playable(self.manifest, self.skeleton, self.feature_spec, music)
        self.groove = self._read_groove(bundle)

    def _read_groove(self, bundle: Bundle) -> Groove | None:
        about = self.manifest
        if about.groove is None:
            return None
        if self.published_spec is not None or self.delay_tokens:
            raise BundleError(
                f"bundle {about.name!r} has a groove, which needs our music features and no look-ahead: "
                "export it again"
            )
        channels = about.pose.upper_channels + about.pose.lower_channels
        sizes = about.codebook_size.upper, about.codebook_size.lower
        critic = GrooveCritic.read(
            bundle.file_bytes(CRITIC_FILE), sizes, 2 * channels, about.frames_per_token
        )
        return Groove(critic, about.groove, self.feature_spec)

    @property
    def delay_tokens(self) -> int:
        """Tokens of music that a chunk waits for beyond those before it."""
        return self.manifest.lookahead_tokens + self.manifest.music_lead_tokens

    @property
    def watchdog(self) -> WatchedBackend | None:
        """What watches over the backend, if anything does."""
        return self.backend if isinstance(self.backend, WatchedBackend) else None

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        backend: str = "auto",
        threads: int = 1,
        watch: bool = False,
        dancers: int = 1,
        delay_ms: float = 60.0,
    ) -> Dancer:
        """Load a bundle.

        Parameters
        ----------
        path : str or Path, optional
            A bundle's folder or .zip; None takes the one shipped with the package.
        backend : str
            One of `bailando.engine.backends.BACKEND_NAMES`.
        threads : int
            Threads inside one operator on the CPU.
        watch : bool
            Start the backend anew when it hangs or fails (`WatchedBackend`).
        dancers, delay_ms : int, float
            How many will step together, how much later than the sound, for the choice of ``auto``.

        Raises
        ------
        BundleError
            If the bundle is missing, corrupt, foreign, or needs what this engine cannot do.
        ConfigError
            If the backend is unknown or not installed.
        """
        place = default_bundle_path() if path is None else path
        bundle = Bundle.open(place)
        runs = load_backend(bundle, backend, threads, dancers=dancers, delay_ms=delay_ms)
        if not watch:
            return cls(bundle, runs)

        manifest = bundle.manifest

        def load_again() -> Backend:
            # From the file again, so that the graphs are not kept in memory twice.
            again = Bundle.open(place)
            if again.manifest.files != manifest.files:
                raise BundleError(f"{place} was replaced by another bundle; start again to dance with that")
            return load_backend(again, backend, threads, dancers=dancers, delay_ms=delay_ms)

        return cls(bundle, WatchedBackend(runs, load_again))

    def session(
        self,
        seed: int = 0,
        style: str = "open",
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        energy: float = 1.0,
        place_m: tuple[float, float] = (0.0, 0.0),
        floor_radius_m: float = FLOOR.radius_m,
        refinement: BodyConfig = BODY,
        groove: float = 1.0,
    ) -> Session:
        """Start a dance.

        Parameters
        ----------
        seed : int
            Two sessions of one seed that hear the same music dance alike.
        style : str
            A name from the manifest's styles; ``open`` asks for none: the dancer draws its own, as often as
            its data has each, another one every half a minute or so.
        temperature, top_k, top_p : optional
            How codes are drawn (`SamplingConfig`); None takes the manifest's recommendation.
        energy : float
            Size of the movements, 0 to 2; 1 is as danced.
        place_m : (x, z)
            Middle of its floor, metres; +x is the dancer's left.
        floor_radius_m : float
            Radius of the floor that it never leaves.
        refinement : BodyConfig
            What is put right about the feet, the floor and jitter; each part can be switched off.
        groove : float
            How much the beat counts, as a share of what the bundle says: 0 to 2.

        Raises
        ------
        ConfigError
            If the style is unknown, a number is out of range, or a groove is asked of a bundle without one.
        """
        if self.groove is None and groove != 1.0:
            raise ConfigError(f"groove is {groove}, but this bundle has none to change: leave it out")
        recommended = self.manifest.sampling
        options = SessionOptions(
            style=style,
            temperature=recommended.temperature if temperature is None else temperature,
            top_k=recommended.top_k if top_k is None else top_k,
            top_p=recommended.top_p if top_p is None else top_p,
            energy=energy,
            groove=groove,
        )
        floor = replace(FLOOR, radius_m=floor_radius_m)
        return Session(
            self.manifest, self.backend, self.skeleton, options, seed, place_m, floor, refinement, self.groove
        )


def _check_playable(manifest: Manifest, skeleton: Skeleton, features: FeatureSpec, music: int) -> None:
    """Refuse bundles whose declared contract this engine cannot keep; `music` is the width of a token."""
    pose = manifest.pose
    if _PLAYABLE.get(pose.representation) != (pose.upper_channels, pose.lower_channels):
        kinds = " or ".join(f"{name} with {upper}+{lower}" for name, (upper, lower) in _PLAYABLE.items())
        raise BundleError(
            f"bundle {manifest.name!r} gives {pose.representation} with {pose.upper_channels}+"
            f"{pose.lower_channels} channels; this engine plays {kinds}: choose a bundle of the live kind"
        )
    if skeleton.joint_names != JOINT_NAMES:
        raise BundleError(f"bundle {manifest.name!r} has joints other than the 24 of SMPL: export it again")
    if manifest.frame_rate_hz != 60 or features.frame_rate_hz != 60.0:
        raise BundleError(
            f"bundle {manifest.name!r} dances at {manifest.frame_rate_hz} Hz to features at "
            f"{features.frame_rate_hz:g} Hz; this engine runs both at 60 Hz: export it again"
        )
    if manifest.batch != 1:
        raise BundleError(
            f"bundle {manifest.name!r} has batch {manifest.batch}; this engine plays batch 1: export it again"
        )
    width = manifest.graphs["gpt_step"].tensor("music").shape[1]
    if width != music:
        raise BundleError(
            f"bundle {manifest.name!r} takes {width} music channels a token, its features give {music}: "
            "export it again"
        )
