/* A policy on an Arduino or an ESP32: an observation comes over the serial line, the action goes back.
 *
 * Put policy.c and policy.h of `policy-distill export --format c` into the folder of this sketch. A computer sends
 * POLICY_N_OBS numbers, each a little-endian `policy_obs` (float but where policy.h says double), and reads
 * POLICY_N_ACTIONS little-endian `policy_action`; a single byte 'r' before them begins an episode, 'o' goes on.
 *
 * Where the board has the sensors itself, fill `obs` in loop() instead. */
#include "policy.h"

static policy_obs obs[POLICY_N_OBS];
static policy_action action[POLICY_N_ACTIONS];

void setup() {
  Serial.begin(115200);
  Serial.setTimeout(1000);
  policy_reset();
}

void loop() {
  const int word = Serial.read();
  if (word == 'r') policy_reset();
  if (word != 'r' && word != 'o') return; /* nothing there, or what is no word of ours */
  if (Serial.readBytes((char *)obs, sizeof obs) != sizeof obs) return; /* cut off: wait for the next */
  policy_act(obs, action);
  Serial.write((const uint8_t *)action, sizeof action);
}
