"""Many small networks that learn side by side, each from minibatches of its own, in a few calls for all of them."""
