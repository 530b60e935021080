# Fuzzes what Blanket.Fuzz names, one target or all of them in turn, for so many seconds. Run it by
#
#     bin/fuzz --seconds 600 match_specs
#
# A round follows from its seed, but for the match specifications and keys that earlier rounds have found worth
# changing.

defmodule Fuzz do
  alias Blanket.{Coverage, Fuzz}

  def main(arguments) do
    {options, rest, invalid} =
      OptionParser.parse(arguments, strict: [seconds: :integer, seed: :integer])

    targets = Enum.filter(Fuzz.targets(), fn {name, _, _} -> rest == [] or rest == [name] end)
    if targets == [] or invalid != [], do: usage()
    seed = options[:seed] || :rand.uniform(1_000_000_000)
    seconds = div(options[:seconds] || 60, length(targets))
    :ok = Coverage.start()
    for target <- targets, do: fuzz(target, seed, seconds)
  end

  defp usage do
    names = Enum.map_join(Fuzz.targets(), "|", &elem(&1, 0))
    IO.puts(:stderr, "usage: bin/fuzz [--seconds N] [--seed S] [#{names}]")
    System.halt(2)
  end

  defp fuzz({name, unit, round}, seed, seconds) do
    IO.puts("#{name}: #{seconds} s from seed #{seed}")
    deadline = now() + seconds
    {rounds, tried} = rounds(name, round, seed, deadline, 0, 0)
    IO.puts("#{name}: #{tried} #{unit} in #{rounds} rounds, no finding#{reached()}")
  end

  defp reached do
    Coverage.new()

    with {reached, all} when all > 0 <- Coverage.reached(),
         do: "; #{reached} of the library's #{all} edges have run",
         else: (_ -> "")
  end

  defp rounds(name, round, seed, deadline, count, tried) do
    if count > 0 and now() >= deadline do
      {count, tried}
    else
      tried = tried + attempt(name, round, seed + count)
      rounds(name, round, seed, deadline, count + 1, tried)
    end
  end

  defp attempt(name, round, seed) do
    round.(seed)
  rescue
    error ->
      shown = Exception.format(:error, error, __STACKTRACE__)
      IO.puts("#{name}: a finding with seed #{seed}\n\n#{shown}")
      System.halt(1)
  end

  defp now, do: System.monotonic_time(:second)
end

Fuzz.main(System.argv())
