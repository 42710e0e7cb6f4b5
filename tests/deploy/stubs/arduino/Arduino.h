// As much of Arduino's core as the sketch uses: the serial line is stdin and stdout.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct SerialLine {
  bool ended = false;
  void begin(unsigned long) {}
  void setTimeout(unsigned long) {}
  int read() {
    const int byte = getchar();
    ended = byte == EOF;
    return ended ? -1 : byte;
  }
  size_t readBytes(char *to, size_t n) { return fread(to, 1, n, stdin); }
  size_t write(const uint8_t *from, size_t n) { return fwrite(from, 1, n, stdout); }
};
static SerialLine Serial;
void setup();
void loop();
int main() {
  setup();
  while (!Serial.ended) loop();
  return 0;
}
