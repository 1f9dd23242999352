import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

ASK = """
import resource, sys
from pinocchio_core.web.listening import room_for_connections

soft, hard, others = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(room_for_connections(others), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "others", "room", "raised"),
    [
        (256, 2000, 400, 1000, 1400),
        (1500, 2000, 400, 1000, 1500),
        (256, 1024, 400, 624, 1024),
        (1024, 1024, 400, 624, 1024),
        (300, 300, 400, 150, 300),
    ],
)
def test_the_limit_of_descriptors_is_raised_and_what_is_left_of_it_is_for_connections(soft, hard, others, room, raised):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < hard:
        pytest.skip("this system allows a process fewer open files")
    asked = subprocess.run(
        [sys.executable, "-c", ASK, str(soft), str(hard), str(others)], capture_output=True, text=True, check=True
    )
    assert asked.stdout.split() == [str(room), str(raised)]
