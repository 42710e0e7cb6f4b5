/* What a page calls of a policy in WebAssembly: it writes `obs`, calls act(), and reads `action`. */
#include "policy.h"

policy_obs obs[POLICY_N_OBS];
policy_action action[POLICY_N_ACTIONS];

void act(void) { policy_act(obs, action); }
