#pragma once
#include <memory>
#include <vector>
namespace std_msgs::msg {
struct Float32MultiArray {
  using SharedPtr = std::shared_ptr<Float32MultiArray>;
  std::vector<float> data;
  void set(const std::vector<float> &numbers) { data = numbers; }
};
}  // namespace std_msgs::msg
