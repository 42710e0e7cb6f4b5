"""Every contract, for whoever writes one of these outside of the package, which itself imports the defining modules.

`policies` act and label, `students` are made of what that module has, and a run goes through `stages`.
"""

from policy_distill.interfaces.policies import Actor as Actor
from policy_distill.interfaces.policies import Labels as Labels
from policy_distill.interfaces.policies import Observation as Observation
from policy_distill.interfaces.policies import Policy as Policy
from policy_distill.interfaces.policies import State as State
from policy_distill.interfaces.policies import Teacher as Teacher
from policy_distill.interfaces.policies import WrapperSpec as WrapperSpec
from policy_distill.interfaces.stages import FeatureStore as FeatureStore
from policy_distill.interfaces.stages import Learner as Learner
from policy_distill.interfaces.stages import LearnerKind as LearnerKind
from policy_distill.interfaces.stages import Stepper as Stepper
from policy_distill.interfaces.stages import Tracker as Tracker
from policy_distill.interfaces.stepping import Environments as Environments
from policy_distill.interfaces.stepping import Source as Source
from policy_distill.interfaces.students import ActionDistribution as ActionDistribution
from policy_distill.interfaces.students import Engine as Engine
from policy_distill.interfaces.students import Exporter as Exporter
from policy_distill.interfaces.students import Gradient as Gradient
from policy_distill.interfaces.students import Loss as Loss
from policy_distill.interfaces.students import Network as Network
from policy_distill.interfaces.students import RicherDistribution as RicherDistribution
from policy_distill.interfaces.students import Run as Run
