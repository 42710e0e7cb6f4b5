// As much of rclcpp as the example uses: messages come from stdin, a line each, and go to stdout.
#pragma once
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace rclcpp {
struct Logger {};
template <class Message> struct Publisher {
  using SharedPtr = std::shared_ptr<Publisher>;
  std::string topic;
  void publish(const Message &message) {
    std::cout << topic;
    for (float one : message.data) std::cout << ' ' << one;
    std::cout << '\n';
  }
};
template <class Message> struct Subscription {
  using SharedPtr = std::shared_ptr<Subscription>;
};
class Node {
 public:
  explicit Node(const std::string &name) : name_(name) {}
  Logger get_logger() const { return {}; }
  template <class Message> typename Publisher<Message>::SharedPtr create_publisher(const std::string &topic, int) {
    auto made = std::make_shared<Publisher<Message>>();
    made->topic = topic;
    return made;
  }
  template <class Message>
  typename Subscription<Message>::SharedPtr create_subscription(
      const std::string &topic, int, std::function<void(const std::shared_ptr<Message>)> call) {
    calls[topic] = [call](const std::vector<float> &numbers) {
      auto message = std::make_shared<Message>();
      message->set(numbers);
      call(message);
    };
    return std::make_shared<Subscription<Message>>();
  }
  std::map<std::string, std::function<void(const std::vector<float> &)>> calls;

 private:
  std::string name_;
};
inline void init(int, char **) { std::cout.precision(9); }
inline void shutdown() {}
inline void spin(std::shared_ptr<Node> node) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string topic;
    words >> topic;
    std::vector<float> numbers;
    for (std::string word; words >> word;) numbers.push_back(std::stof(word));
    node->calls.at(topic)(numbers);
  }
}
}  // namespace rclcpp
#define RCLCPP_ERROR(logger, ...) ((void)(logger), std::fprintf(stderr, __VA_ARGS__), std::fputc('\n', stderr))
