# Kills VMs that write to durable tables. Run by bin/crash.

{options, rest, invalid} =
  OptionParser.parse(System.argv(), strict: [kills: :integer, seed: :integer])

if rest != [] or invalid != [] do
  IO.puts(:stderr, "usage: bin/crash [--kills N] [--seed S]")
  System.halt(2)
end

seed = options[:seed] || :rand.uniform(1_000_000_000)
kills = options[:kills] || 300
folder = Path.join(System.tmp_dir!(), "blanket-crash-#{System.pid()}")
File.mkdir_p!(folder)
IO.puts("#{kills} kills, seed #{seed}\n")
found = Blanket.Crash.run(folder, kills, seed, &IO.puts/1)

case found.wrong do
  [] ->
    File.rm_rf!(folder)

    IO.puts(
      "\n#{found.kills} kills: #{found.acknowledged} acknowledged changes were there, and nothing half-done"
    )

  wrong ->
    IO.puts(
      "\nWrong, in #{folder}, with --seed #{seed}:\n" <> Enum.map_join(wrong, "\n", &"  #{&1}")
    )

    System.halt(1)
end
