# Memory over time: churn of every kind, for as long as asked, while the memory that the operating system
# gives is compared with what the live data takes. Run by bin/soak-memory.
#
# Live data are the words of the objects that are in tables, and the bytes of their large binaries, as the
# churn counts them itself. The bound is for every sample:
#
#     resident - resident at the start  <=  2 x live + 96 MB
#
# where live is the most that was live in the last two seconds: memory is given back in the background.
# The VM keeps no free segments for later meanwhile, or its memory would not be seen to go.

for name <- ~w(measure churn suspended), do: Code.require_file("#{name}.exs", __DIR__)

defmodule Soak.Memory do
  import Soak.Measure

  alias Soak.{Churn, Suspended}

  @megabyte 1024 * 1024
  @times 2
  @beyond 96 * @megabyte
  # Milliseconds.
  @interval 50
  @lag 2000
  @line 30_000

  def main(arguments) do
    {options, rest, invalid} =
      OptionParser.parse(arguments, strict: [seconds: :integer, seed: :integer])

    if rest != [] or invalid != [], do: usage()
    seconds = options[:seconds] || 1800
    seed = options[:seed] || :rand.uniform(1_000_000_000)
    IO.puts("#{seconds} s of churn, seed #{seed}\n")
    warm_up(seed)
    Suspended.check()
    Suspended.large_objects()
    forever = Suspended.forever()
    result = soak(seconds, seed)
    alive? = Enum.all?(forever, &match?({:status, :suspended}, Process.info(&1, :status)))
    unless alive?, do: fail("a reader that was suspended did not stay so")
    IO.puts("\n" <> result)
  end

  defp usage do
    IO.puts(:stderr, "usage: bin/soak-memory [--seconds N] [--seed S]")
    System.halt(2)
  end

  # What the VM loads and allots once is not the tables'.
  defp warm_up(seed), do: run(fn -> Churn.step(seed) end)

  # A step is a process of its own, as is its garbage.
  defp run(fun) do
    {_, monitor} = spawn_monitor(fun)

    receive do
      {:DOWN, ^monitor, :process, _, :normal} -> :ok
      {:DOWN, ^monitor, :process, _, reason} -> fail("churn failed: #{inspect(reason)}")
    end
  end

  defp soak(seconds, seed) do
    start = resident()

    sampler =
      Task.async(fn -> sample(%{start: start, since: now(), recent: [], line: 0, worst: nil}) end)

    churn(seed, now() + seconds * 1000)
    send(sampler.pid, :stop)
    state = Task.await(sampler)
    "Within the bound in #{state.samples} samples. At the worst, " <> describe(state.worst)
  end

  defp churn(seed, until) do
    run(fn -> Churn.step(seed) end)
    if now() < until, do: churn(seed + 1, until)
  end

  defp sample(state, samples \\ 0) do
    receive do
      :stop -> Map.put(state, :samples, samples)
    after
      @interval ->
        now = now()

        recent = [
          {now, Churn.live()} | Enum.filter(state.recent, fn {at, _} -> now - at < @lag end)
        ]

        live = recent |> Enum.map(&elem(&1, 1)) |> Enum.max()
        grown = resident() - state.start

        sample = %{
          second: div(now - state.since, 1000),
          live: live,
          grown: grown,
          beyond: grown - @times * live
        }

        if sample.beyond > @beyond, do: fail("beyond the bound: " <> describe(sample))
        line = div(now - state.since, @line)
        if line > state.line, do: IO.puts(describe(sample))
        worst = Enum.max_by([sample | List.wrap(state.worst)], & &1.beyond)
        sample(%{state | recent: recent, line: line, worst: worst}, samples + 1)
    end
  end

  defp describe(sample) do
    "after #{sample.second} s: #{mb(sample.live)} MB live, #{mb(sample.grown)} MB more in the OS than at the start"
  end

  defp now, do: System.monotonic_time(:millisecond)
end

Soak.Memory.main(System.argv())
