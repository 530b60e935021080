defmodule Blanket.ArithmeticTest do
  # Match specifications calculate as those of :ets do, to the last bit. How floats are rounded, and the
  # sign of zero, differ by release.
  use ExUnit.Case, async: true

  import Bitwise

  alias Blanket.Table

  @pairs 10_000
  @unary [:+, :-, :abs, :float, :round, :trunc, :bnot]
  @binary [:+, :-, :*, :/, :div, :rem, :band, :bor, :bxor, :==, :"=:=", :<, :"=<"]

  for {operators, arity} <- [{@unary, 1}, {@binary, 2}], operator <- operators do
    test "#{operator}/#{arity} is that of :ets" do
      :rand.seed(:exsss, ExUnit.configuration()[:seed])
      operands = Enum.take([:"$2", :"$3"], unquote(arity))
      call = List.to_tuple([unquote(operator) | operands])
      spec = [{{:"$1", :"$2", :"$3"}, [], [{{:"$1", call}}]}]
      objects = for i <- 1..@pairs, do: {i, number(), number()}

      table = Table.new(:numbers, [:ordered_set])
      Table.insert(table, objects)
      got = Table.select(table, spec)
      expected = :ets.match_spec_run(objects, :ets.match_spec_compile(spec))

      # As written, -0.0 is not 0.0 on any release.
      for {{object, one}, two} <- objects |> Enum.zip(got) |> Enum.zip(expected),
          inspect(one) != inspect(two),
          do:
            flunk(
              "of #{inspect(object)}, :ets answers #{inspect(two)}, and Blanket #{inspect(one)}"
            )
    end
  end

  # What is hard to round: little over, under or at the middle of two floats.
  defp number do
    case :rand.uniform(7) do
      1 -> signed(:rand.uniform(1 <<< 64))
      2 -> signed(:rand.uniform(1 <<< :rand.uniform(1100)))
      3 -> signed((1 <<< :rand.uniform(200)) + :rand.uniform(5) - 3)
      4 -> (:rand.uniform() - 0.5) * :math.pow(2, :rand.uniform(200) - 100)
      5 -> Enum.random([0.0, -0.0, 0, 1, -1, 0.5, -0.5, 2.5, 1.7e308, 5.0e-324])
      6 -> signed((odd(53) <<< :rand.uniform(300)) + Enum.random([0, 1, -1]))
      7 -> signed((odd(54) <<< :rand.uniform(300)) + (1 <<< :rand.uniform(200)))
    end
  end

  defp odd(bits), do: 1 <<< (bits - 1) ||| :rand.uniform(1 <<< (bits - 1)) - 1 ||| 1
  defp signed(integer), do: Enum.random([1, -1]) * integer
end
