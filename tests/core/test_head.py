import json
import shutil
import subprocess

import numpy as np
import pytest

from rapport.core import head
from rapport.core.head import draw_head, head_shape

BLUE = (0, 114, 178)
SIZE = 96


def of_colour(picture, wanted):
    """Where the picture has about the hue of the colour."""
    pixels = picture[..., :3].astype(float)
    cosine = pixels @ np.asarray(wanted, float) / (np.linalg.norm(pixels, axis=-1) * np.linalg.norm(wanted) + 1e-9)
    return (cosine > 0.995) & (picture[..., 3] > 127)


def eyes(picture):
    """Row and column of the middle of the dark pixels of each eye, the one on the left first."""
    rows, columns = np.nonzero((picture[..., :3].max(-1) < 60) & (picture[..., 3] > 127))
    half = columns < columns.mean()
    return (rows[half].mean(), columns[half].mean()), (rows[~half].mean(), columns[~half].mean())


def test_picture_is_rgba_on_nothing_with_the_colour_of_the_motion():
    picture = draw_head((0, 0, 0), SIZE, BLUE)
    assert picture.shape == (SIZE, SIZE, 4)
    assert picture.dtype == np.uint8
    assert (picture[0, 0] == 0).all()
    assert picture[SIZE // 2, SIZE // 2, 3] == 255
    assert of_colour(picture, BLUE).mean() > 0.1


def test_outline_is_smooth():
    covered = draw_head((0, 0, 0), SIZE, BLUE)[..., 3]
    assert ((covered > 0) & (covered < 255)).sum() > SIZE


def test_a_head_at_rest_faces_the_viewer():
    left, right = eyes(draw_head((0, 0, 0), SIZE, BLUE))
    assert left[0] == pytest.approx(right[0], abs=0.5)
    assert (left[1] + right[1]) / 2 == pytest.approx((SIZE - 1) / 2, abs=0.5)


def test_signs_are_those_of_the_pose():
    rest = eyes(draw_head((0, 0, 0), SIZE, BLUE))
    rolled, pitched, turned = (eyes(draw_head(pose, SIZE, BLUE)) for pose in ((15, 0, 0), (0, 15, 0), (0, 0, 15)))
    # As the head faces the viewer, its right ear is on the left of the picture.
    assert rolled[0][0] > rolled[1][0] + 3
    assert min(eye[0] for eye in pitched) > max(eye[0] for eye in rest) + 2
    assert turned[0][1] > rest[0][1] + 2


def test_full_turns_make_no_difference():
    assert (draw_head((5, -10, 20), 48, BLUE) == draw_head((365, -370, 380), 48, BLUE)).all()


def test_the_back_of_the_head_has_no_face():
    dark = draw_head((0, 0, 180), SIZE, BLUE)
    assert not ((dark[..., :3].max(-1) < 60) & (dark[..., 3] > 127)).any()


def test_shape_is_json():
    shape = json.loads(json.dumps(head_shape()))
    assert len(shape["parts"]) == len(head.PARTS)
    assert all(np.allclose(np.linalg.det(part["axes"]), 1, atol=1e-4) for part in shape["parts"])


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to run the script of the page with")
@pytest.mark.parametrize("pose", [(0, 0, 0), (12, -20, 35), (-8, 15, -60), (170, 5, 190)])
def test_script_of_the_page_draws_the_same_head(pose):
    script = head.head_script()
    call = f"headPainter({json.dumps(head_shape())}, {SIZE})({json.dumps(pose)}, {json.dumps(BLUE)})"
    ran = subprocess.run(
        ["node", "-e", f"{script}\nconsole.log(JSON.stringify(Array.from({call})));"], capture_output=True, text=True, check=True
    )
    theirs = np.array(json.loads(ran.stdout)).reshape(SIZE, SIZE, 4)
    ours = draw_head(pose, SIZE, BLUE, oversampling=1).astype(int)
    # A pixel on an edge may fall to either side where the sums are rounded.
    assert (np.abs(theirs - ours).max(-1) > 2).sum() <= 8
