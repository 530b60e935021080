# Generous, for busy machines: a test that succeeds does not wait.
ExUnit.start(assert_receive_timeout: 5000)
