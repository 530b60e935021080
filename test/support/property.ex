defmodule Blanket.Property do
  @moduledoc """
  Runs PropEr properties within ExUnit.

  PropEr draws from ExUnit's seed, so `mix test --seed` with the seed of a failed run runs the very same
  programs again.
  """

  import ExUnit.Assertions

  @doc """
  Checks `property` on `count` instances of `generator`.

  The property answers `:ok`, or a text that tells what went wrong. A failing instance is shrunk, and
  shown as `present` makes it.
  """
  def check(generator, count, property, present \\ & &1) do
    seed = ExUnit.configuration()[:seed]

    test =
      :proper.setup(
        fn ->
          :proper_arith.rand_start({seed, 271, 828})
          fn -> :ok end
        end,
        :proper.forall(generator, &holds?(property, &1))
      )

    case :proper.quickcheck(test, [:quiet, :long_result, numtests: count, max_shrinks: 300]) do
      true ->
        :ok

      [counterexample] ->
        flunk("""
        #{Process.get(__MODULE__)}

        shrunk to
        #{inspect(present.(counterexample), pretty: true, limit: :infinity, printable_limit: :infinity)}

        run again by mix test --seed #{seed}
        """)
    end
  end

  # What went wrong last went wrong with the smallest instance.
  defp holds?(property, instance) do
    case verdict(property, instance) do
      :ok ->
        true

      complaint ->
        Process.put(__MODULE__, complaint)
        false
    end
  end

  # PropEr must see no exception: it would shrink towards another one.
  defp verdict(property, instance) do
    property.(instance)
  catch
    kind, reason -> Exception.format(kind, reason, __STACKTRACE__)
  end
end
