"""`python -m policy_distill` is the command `policy-distill`."""

import sys

from policy_distill.cli import main

sys.exit(main())
