defmodule Blanket.Table.SwapTest do
  # Comparing and swapping, and what is made of it.
  use ExUnit.Case, async: true

  alias Blanket.Table

  defp values,
    do: [0, 0.5, "short", String.duplicate("long", 100), Map.new(1..40, &{&1, &1}), [1], %{}]

  defp error(fun) do
    error = assert_raise ArgumentError, fun
    Exception.message(error)
  end

  for type <- [:set, :ordered_set], compressed <- [[], [:compressed]] do
    describe "on #{inspect([type | compressed])}" do
      @describetag options: [:public, type | compressed]

      test "swaps as :ets does by select_replace", %{options: options} do
        [table, oracle] =
          for module <- [Table, :ets] do
            table = module.new(:swaps, options)
            module.insert(table, {1, 0, String.duplicate("x", 200)})
            table
          end

        for key <- 1..2, old <- values(), new <- Enum.shuffle(values()) do
          text = String.duplicate("x", 200)
          pattern = {key, :"$1", text}
          guard = {:"=:=", :"$1", {:const, old}}

          replaced =
            :ets.select_replace(oracle, [{pattern, [guard], [{{key, {:const, new}, text}}]}])

          assert Table.compare_and_swap(table, {key, old, text}, {key, new, text}) ==
                   (replaced == 1)

          assert Table.tab2list(table) == :ets.tab2list(oracle)
        end
      end

      test "one of many that swap the same object succeeds", %{options: options} do
        table = Table.new(:swaps, options)

        for round <- 1..200 do
          Table.insert(table, {:key, round})

          swaps =
            for i <- 1..8,
                do:
                  Task.async(fn -> Table.compare_and_swap(table, {:key, round}, {:key, {i}}) end)

          assert Enum.count(Task.await_many(swaps), & &1) == 1
        end
      end

      test "no update is lost", %{options: options} do
        table = Table.new(:swaps, options)
        more = fn {:key, count, seen} -> {:key, count + 1, [count | Enum.take(seen, 30)]} end

        together =
          for _ <- 1..8 do
            Task.async(fn ->
              for _ <- 1..500, do: Table.update(table, :key, {:key, 1, []}, more)
            end)
          end

        answers = together |> Task.await_many(60_000) |> Enum.concat()
        assert Enum.sort(for {:key, count, _} <- answers, do: count) == Enum.to_list(1..4_000)
        assert [{:key, 4_000, _}] = Table.lookup(table, :key)
      end
    end
  end

  test "an object with another number type for a key is another object" do
    table = Table.new(:swaps, [:ordered_set])
    Table.insert(table, {1, :a})
    refute Table.compare_and_swap(table, {1.0, :a}, {1, :b})
    assert Table.compare_and_swap(table, {1, :a}, {1.0, :b})
    assert Table.tab2list(table) == [{1.0, :b}]
  end

  test "the default is inserted with the key, and not changed" do
    table = Table.new(:swaps, keypos: 2)
    assert Table.update(table, :key, {1, :any}, &flunk(inspect(&1))) == {1, :key}
    assert Table.tab2list(table) == [{1, :key}]
  end

  test "what the function raises goes on, and nothing has changed" do
    table = Table.new(:swaps, [])
    Table.insert(table, {:key, 1})

    assert_raise ArgumentError, "mine", fn ->
      Table.update(table, :key, {1}, fn _ -> raise ArgumentError, "mine" end)
    end

    assert catch_throw(Table.update(table, :key, {1}, fn _ -> throw(:ball) end)) == :ball
    assert Table.tab2list(table) == [{:key, 1}]
  end

  test "errors blame the argument" do
    table = Table.new(:swaps, [])
    bag = Table.new(:swaps, [:bag])
    Table.insert(table, {1, :a})

    for {function, args, message} <- [
          {:compare_and_swap, [bag, {1}, {1}], "1st argument: not possible on a bag"},
          {:compare_and_swap, [table, 17, {1}], "2nd argument: not a tuple"},
          {:compare_and_swap, [table, {1}, {}], "3rd argument: a tuple without"},
          {:compare_and_swap, [table, {1, :a}, {1.0, :a}],
           "3rd argument: its key is another one"},
          {:compare_and_swap, [:no_such, {1}, 1], "3rd argument: not a tuple"},
          {:update, [bag, 1, {1}, & &1], "1st argument: not possible on a bag"},
          {:update, [table, 1, 17, & &1], "3rd argument: not a tuple"},
          {:update, [table, 1, {1}, 17], "4th argument: not a function of one argument"},
          {:update, [table, 1, {1}, fn _ -> {2} end],
           "4th argument: it answered {2}: its key is another one"},
          {:update, [table, 1, {1}, fn _ -> :a end], "4th argument: it answered :a: not a tuple"},
          {:update, [:no_such, 1, {1}, & &1], "1st argument: the table identifier does not"}
        ] do
      assert error(fn -> apply(Table, function, args) end) =~ message
    end

    assert Table.tab2list(table) == [{1, :a}]
  end
end
