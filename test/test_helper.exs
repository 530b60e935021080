# Generous, for busy machines: a test that succeeds does not wait. One that waits for ever is told of, with where
# it stands.
ExUnit.start(assert_receive_timeout: 5000, timeout: :timer.minutes(5))

# bin/suite reads the numbers here: every release of ExUnit prints them in its own way.
if file = System.get_env("TEST_COUNTS") do
  ExUnit.after_suite(&File.write!(file, "#{&1.total} #{&1.failures}\n"))
end

# Owners die by the thousand here, and pages come and go.
for module <- [Blanket.Events, Blanket.Inspector.Web.Server],
    do: Logger.put_module_level(module, :warning)

# Some releases of Mix hide the applications of OTP that a project does not depend on.
if function_exported?(Mix, :ensure_application!, 1),
  do: apply(Mix, :ensure_application!, [:mnesia])
