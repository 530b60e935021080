ExUnit.start(capture_log: true, timeout: :timer.minutes(5))
