# Hundreds of owners, their writers and readers, and a killer, for as long as asked. Run by bin/chaos.
#
# In rounds: all is started, disturbed, inspected now and then, and ended, and then as much has to be there
# as there was after the first round, which is short.

files =
  ~w(payload plan model operation ledger findings tally gate junk reading) ++
    ~w(owner writer reader bank clerk auditor killer world inspection census)

for name <- files, do: Code.require_file("#{name}.exs", __DIR__)

defmodule Chaos do
  alias Chaos.{Census, Findings, Gate, Inspection, Killer, Plan, Tally, World}

  @owners 240
  # Seconds.
  @first_round 8
  @round 120
  @between_inspections 4..10

  def main(arguments) do
    {options, rest, invalid} =
      OptionParser.parse(arguments, strict: [seconds: :integer, seed: :integer])

    if rest != [] or invalid != [], do: usage()
    seed = options[:seed] || :rand.uniform(1_000_000_000)
    seconds = options[:seconds] || 60
    # What is killed is no news here.
    Logger.configure(level: :none)
    Findings.open()
    Tally.open()
    owners = Plan.owners(@owners)
    IO.puts(introduction(owners, seconds, seed))
    harm = rounds(owners, seed, seconds)
    report(harm, seed)
    System.halt(if Findings.count() == 0, do: 0, else: 1)
  end

  defp usage do
    IO.puts(:stderr, "usage: bin/chaos [--seconds N] [--seed S]")
    System.halt(2)
  end

  defp introduction(owners, seconds, seed) do
    tables = Enum.flat_map(owners, & &1.tables)
    lanes = Enum.flat_map(tables, & &1.lanes)

    "#{length(owners)} owners of #{length(tables)} tables, #{length(lanes)} writers and " <>
      "#{length(tables)} readers, and a bank, for #{seconds} s, seed #{seed}\n"
  end

  defp rounds(owners, seed, seconds) do
    harm = round(owners, seed, @first_round)
    census = if Findings.count() == 0, do: Census.take()
    if census, do: IO.puts("after the first round: " <> Census.describe(census))
    rounds(owners, seed + 1, now() + seconds - @first_round, census, harm)
  end

  defp rounds(owners, seed, until, census, harm) do
    left = until - now()

    if left <= 0 or Findings.count() > 0 do
      harm
    else
      harm = add(harm, round(owners, seed, min(left, @round)))
      if Findings.count() == 0, do: compare(census, min(left, @round))
      rounds(owners, seed + 1, until, census, harm)
    end
  end

  defp compare(census, seconds) do
    now = Census.take(census)
    Census.compare(census, now)
    IO.puts("after a round of #{seconds} s: " <> Census.describe(now))
  end

  defp round(owners, seed, seconds) do
    :rand.seed(:exsss, seed)
    world = Inspection.within_patience(owners, fn -> World.start(owners, seed) end)
    harm = disturb(world, now() + seconds, %{})
    # Where one is stuck, who waits for it cannot be stopped.
    if Findings.count() == 0, do: Inspection.within_patience(owners, fn -> World.stop(world) end)
    harm
  end

  # Until the time is over, from one inspection to the next.
  defp disturb(world, until, harm) do
    killer = Killer.start_link(world, :rand.uniform(1_000_000_000))
    Process.sleep(1000 * min(Enum.random(@between_inspections), max(until - now(), 1)))
    harm = add(harm, Killer.stop(killer))
    Inspection.run(world)
    Tally.add(:inspections)

    if now() >= until or Findings.count() > 0 do
      harm
    else
      Gate.open()
      disturb(world, until, harm)
    end
  end

  defp add(one, other), do: Map.merge(one, other, fn _kind, one, other -> one + other end)

  defp report(harm, seed) do
    IO.puts("\nharm done")
    for {kind, count} <- Enum.sort(harm), do: IO.puts(line(kind, count))
    IO.puts("\nchecked")
    for {kind, count} <- Tally.all(), do: IO.puts(line(kind, count))

    case Findings.by_kind() do
      [] ->
        IO.puts("\nNothing lost, nothing there twice, nothing left over. The seed was #{seed}.")

      kinds ->
        IO.puts("\nFINDINGS: #{inspect(kinds)}. The seed was #{seed}.")
    end
  end

  defp line(kind, count) do
    kind = kind |> to_string() |> String.replace("_", " ")
    "  #{String.pad_trailing(kind, 28)}#{String.pad_leading(to_string(count), 9)}"
  end

  defp now, do: System.monotonic_time(:second)
end

Chaos.main(System.argv())
