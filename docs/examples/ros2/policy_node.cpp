// A ROS 2 node that acts, around policy.c of `policy-distill export --format c`: no Python, no allocation in the policy.
//
// CMakeLists.txt needs project(policy C CXX), ament_target_dependencies(policy_node rclcpp std_msgs), and both files:
// add_executable(policy_node policy_node.cpp policy.c).
#include <algorithm>
#include <cmath>
#include <memory>

#include <rclcpp/rclcpp.hpp>
#include <std_msgs/msg/empty.hpp>
#include <std_msgs/msg/float32_multi_array.hpp>

#include "policy.h"

using std_msgs::msg::Empty;
using std_msgs::msg::Float32MultiArray;

// Answers each message on `observation` with one on `action`; a message on `reset` begins an episode.
class PolicyNode : public rclcpp::Node {
 public:
  PolicyNode() : Node("policy") {
    policy_reset();
    publisher_ = create_publisher<Float32MultiArray>("action", 1);
    // A queue of one: a policy acts on what is now, not on what was.
    observations_ = create_subscription<Float32MultiArray>(
        "observation", 1, [this](const Float32MultiArray::SharedPtr message) { act(*message); });
    resets_ = create_subscription<Empty>("reset", 1, [](const Empty::SharedPtr) { policy_reset(); });
  }

 private:
  void act(const Float32MultiArray &message) {
    const bool finite = std::all_of(message.data.begin(), message.data.end(), [](float x) { return std::isfinite(x); });
    if (message.data.size() != POLICY_N_OBS || !finite) {
      RCLCPP_ERROR(get_logger(), "expected %d finite numbers, found %zu; no action", POLICY_N_OBS, message.data.size());
      return;
    }
    // The buffers of policy.c are static: callbacks of this node must not run at once, as none do by default.
    std::copy(message.data.begin(), message.data.end(), obs_);
    policy_act(obs_, action_);
    Float32MultiArray answer;
    answer.data.assign(action_, action_ + POLICY_N_ACTIONS);
    publisher_->publish(answer);
  }

  policy_obs obs_[POLICY_N_OBS] = {};
  policy_action action_[POLICY_N_ACTIONS] = {};
  rclcpp::Publisher<Float32MultiArray>::SharedPtr publisher_;
  rclcpp::Subscription<Float32MultiArray>::SharedPtr observations_;
  rclcpp::Subscription<Empty>::SharedPtr resets_;
};

int main(int argc, char **argv) {
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<PolicyNode>());
  rclcpp::shutdown();
  return 0;
}
