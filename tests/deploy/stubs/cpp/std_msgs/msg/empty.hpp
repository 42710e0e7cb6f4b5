#pragma once
#include <memory>
#include <vector>
namespace std_msgs::msg {
struct Empty {
  using SharedPtr = std::shared_ptr<Empty>;
  void set(const std::vector<float> &) {}
};
}  // namespace std_msgs::msg
