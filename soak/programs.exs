# Random programs on :ets and on Blanket.Table, round after round, until so many commands have run. Run
# it by
#
#     bin/soak --commands 2000000 --seed 42
#
# A round runs programs of one kind. What it does follows from the seed and the number of the round.

defmodule Soak do
  alias Blanket.{KeyRanges, MatchPrograms, Property, TablePrograms}

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  def main(arguments) do
    {options, rest, invalid} =
      OptionParser.parse(arguments, strict: [commands: :integer, seed: :integer])

    if rest != [] or invalid != [], do: usage()
    seed = options[:seed] || :rand.uniform(1_000_000_000)
    commands = options[:commands] || 1_000_000
    IO.puts("#{commands} commands, seed #{seed}")
    started = System.monotonic_time(:second)
    total = rounds(Stream.cycle(kinds()), seed, commands)
    seconds = System.monotonic_time(:second) - started
    IO.puts("#{total} commands in #{seconds} s: all as on :ets. The seed was #{seed}.")
  end

  defp usage do
    IO.puts(:stderr, "usage: bin/soak [--commands N] [--seed S]")
    System.halt(2)
  end

  # Name, generator, number of instances in a round, property, presentation. A generator is made by the
  # process that runs its programs, for they name it.
  defp kinds do
    programs = fn name, module, length, count ->
      for type <- @types do
        generator = fn -> module.program(type, length) end
        {"#{name} on a #{type}", generator, count, &module.run/1, &module.present/1}
      end
    end

    programs.("short programs", TablePrograms, 40, 500) ++
      programs.("programs", TablePrograms, 400, 100) ++
      programs.("long programs", TablePrograms, 4000, 10) ++
      programs.("match specifications", MatchPrograms, 40, 100) ++
      [
        {"ranges of keys", fn -> KeyRanges.program(30) end, 500, &KeyRanges.run/1, & &1},
        {"ranges of many keys", fn -> KeyRanges.program(3000) end, 20, &KeyRanges.run/1, & &1}
      ]
  end

  defp rounds(kinds, seed, commands) do
    kinds
    |> Stream.with_index(1)
    |> Enum.reduce_while(0, fn {kind, round}, total ->
      total = total + round(kind, seed + round)
      IO.puts("round #{round}: #{elem(kind, 0)}, #{total} commands")
      if total < commands, do: {:cont, total}, else: {:halt, total}
    end)
  end

  # In a process of its own: what it has made is gone with it.
  defp round({name, generator, count, property, present}, seed) do
    fn ->
      Property.counting(fn ->
        with {:failed, complaint, instance} <- Property.run(generator.(), count, property, seed) do
          IO.puts("""
          #{name}, seed #{seed}:

          #{complaint}

          shrunk to
          #{inspect(present.(instance), pretty: true, limit: :infinity, printable_limit: :infinity)}
          """)

          System.halt(1)
        end
      end)
    end
    |> Task.async()
    |> Task.await(:infinity)
  end
end

Soak.main(System.argv())
