"""A depth camera over an arena: a synthetic recording, extracted, with pictures of all that came of it."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import xarray as xr

from ..cli.codes import OK
from ..errors import MissingPackage, RecordingError
from .depth import make_session

FRAMES = 600  # 20 s
ABSENT = (330, 360)  # frames in which there is no animal
SEED = 3  # of a way that leads through most of the arena
MOVING = 0.8  # px a frame


def run(folder: Path) -> int:
    """Make a recording in `folder`, extract it by the calls a user would make, draw it, compare it with the truth."""
    import reelarray as ra

    if missing := [name for name in ("av", "matplotlib", "tifffile") if find_spec(name) is None]:
        raise MissingPackage(
            f"{', '.join(missing)} not installed, which the demo needs: pip install 'reelarray[depth,plot]'"
        )
    session, results = folder / "session", folder / "results"
    if folder.exists() and any(folder.iterdir()) and not session.exists():
        raise RecordingError(f"{folder} is there and is not a demo of depth; pass another: reel demo depth FOLDER")
    truth = make_session(session, frames=FRAMES, seed=SEED, absent=[ABSENT])
    megabytes = (session / "depth.dat").stat().st_size / 1e6
    told = f"3 frames lost, no animal in {ABSENT[1] - ABSENT[0]}"
    print(f"{FRAMES} frames of a Kinect over an arena are in {session} ({megabytes:.0f} MB): {told}\n")

    print(f">>> rec = ra.open_recording({str(session / 'depth.dat')!r})")
    print(">>> scene = ra.depth.scene(rec)")
    rec = ra.open_recording(session / "depth.dat", cache=False)
    scene = ra.depth.scene(rec)
    y0, y1, x0, x1 = scene.attrs["box"]
    print(f"the floor is {scene.attrs['true_depth']:.0f} mm away, the arena in rows {y0} to {y1}, columns {x0} to {x1}")

    call = f"ra.depth.extract_recording({str(session / 'depth.dat')!r}, flip='motion')"
    print(f">>> {call}", flush=True)
    made = ra.depth.extract_recording(session / "depth.dat", flip="motion", output_dir=results.absolute())
    if made.note == "complete already":
        print(made.note)
    else:
        print(f"{made.frames} frames in {made.seconds:.1f} s; {made.note}")

    x = ra.depth.open_results(made.results)
    how = {
        "scene": lambda path: ra.depth.save_scene(scene, path),
        "crops": lambda path: ra.depth.save_crops(x, path),
        "trajectory": lambda path: ra.depth.save_trajectory(x, path, scene=scene),
        "scalars": lambda path: ra.depth.save_scalars(x, path),
        "heading": lambda path: ra.depth.save_heading(x, path),
    }
    for name, draw in how.items():
        draw(results / f"{name}.png")
    print(f"\nBeside the truth: {_beside_the_truth(x, truth)}")
    print(f"\nPictures and the preview are in {results}:")
    print(f"  {', '.join(f'{name}.png' for name in how)}, results_00.mp4")
    numbers = results / made.results.name
    print(f"Numbers and crops: {numbers}; again as arrays:")
    print(f"  >>> import reelarray as ra; ra.depth.open_results({str(numbers)!r})")
    print(f"The same from a shell: reel depth extract {shlex.quote(str(session))} --flip motion")
    return OK


def _beside_the_truth(x: xr.Dataset, truth: dict[str, np.ndarray]) -> str:
    """How far positions and headings are from those that the recording was made of."""
    x0, y0 = x.attrs["roi_origin"]
    off = np.hypot(
        x["centroid_x_px"].values + x0 - truth["body_centroid"][:, 0],
        x["centroid_y_px"].values + y0 - truth["body_centroid"][:, 1],
    )
    turned = np.cos(-x["angle"].values - truth["heading"])[truth["speed"] > MOVING]
    right = np.mean(turned[np.isfinite(turned)] > 0)
    return f"positions are {np.nanmedian(off):.2f} px off (median), heads lie ahead in {right:.1%} of moving frames"
