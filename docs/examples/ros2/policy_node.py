"""A ROS 2 node that acts: observations come in as Float32MultiArray, executed actions go out as such.

pip install policy-distill-runtime where the robot is, then

    python policy_node.py --ros-args -p student:=student.safetensors
"""

import numpy as np
import rclpy
from rclpy.node import Node
from std_msgs.msg import Empty, Float32MultiArray

from policy_distill import load_student


class PolicyNode(Node):
    """Answers each message on `observation` with one on `action`; a message on `reset` begins an episode."""

    def __init__(self) -> None:
        super().__init__("policy")
        self.policy = load_student(self.declare_parameter("student", "student.safetensors").value)
        self.n = int(np.prod(self.policy.description.observation_space["shape"]))
        self.publisher = self.create_publisher(Float32MultiArray, "action", 1)
        # A queue of one: a policy acts on what is now, not on what was.
        self.create_subscription(Float32MultiArray, "observation", self.act, 1)
        self.create_subscription(Empty, "reset", lambda _: self.policy.reset(), 1)

    def act(self, message: Float32MultiArray) -> None:
        """Publish the action for one observation; one of another length, or with what is no number, is left out."""
        obs = np.asarray(message.data, dtype=np.float32)
        if obs.shape != (self.n,) or not np.isfinite(obs).all():
            self.get_logger().error(f"expected {self.n} finite numbers, found {obs.tolist()}; no action")
            return
        action = np.ravel(self.policy.act(obs)).astype(np.float32)
        self.publisher.publish(Float32MultiArray(data=action.tolist()))


def main() -> None:
    """Spin until the node is told to stop."""
    rclpy.init()
    rclpy.spin(PolicyNode())


if __name__ == "__main__":
    main()
