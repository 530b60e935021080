defmodule Blanket.Table.QLCTest do
  use ExUnit.Case, async: true

  alias Blanket.Table

  @types [:set, :ordered_set, :bag, :duplicate_bag]
  @traversals [
    [],
    [traverse: :first_next],
    [traverse: :last_prev],
    [traverse: :select, n_objects: 7],
    [n_objects: :default],
    [traverse: {:select, [{{:"$1", :"$2"}, [{:<, :"$2", 30}], [:"$_"]}]}]
  ]

  @queries [
    "[X || X <- T].",
    "[N || {_, N} <- T].",
    "[X || X = {K, _} <- T, K =:= 17].",
    "[X || X = {K, _} <- T, K == 17].",
    "[X || X = {K, _} <- T, K =:= 17.0].",
    "[X || X = {K, _} <- T, (K =:= 3) or (K =:= 5) or (K =:= 1000)].",
    "[{K, N} || {K, N} <- T, N rem 3 =:= 0].",
    "[{A, B} || {A, _} <- T, {B, N} <- T, A =:= N].",
    "[{A, B} || {A, 7} <- T, {B, _} <- T, B < 4].",
    "[K || {K, N} <- T, {M, _} <- U, M =:= K, N > 20]."
  ]

  defp filled(module, type) do
    table = module.new(:queried, [type])
    for i <- Enum.shuffle(1..60), j <- [i, 61 - i], do: module.insert(table, {i, j})
    table
  end

  defp answers(module, type, query, options) do
    table = filled(module, type)
    handles = [T: module.table(table, options), U: module.table(filled(module, type))]

    query
    |> String.to_charlist()
    |> :qlc.string_to_handle([], handles)
    |> :qlc.eval()
  end

  # The order of an ordered_set's objects is the query's, other tables have none.
  defp in_order(:ordered_set, answers), do: answers
  defp in_order(_type, answers), do: Enum.sort(answers)

  for type <- @types, options <- @traversals do
    test "queries of a #{type} with #{inspect(options)} answer what they do on :ets" do
      type = unquote(type)
      options = unquote(Macro.escape(options))

      for query <- @queries do
        expected = answers(:ets, type, query, options)
        got = answers(Table, type, query, options)

        assert {query, in_order(type, got)} === {query, in_order(type, expected)}
      end
    end
  end

  test "a bound key is looked up, and not searched for" do
    table = filled(Table, :set)

    info = fn query ->
      query
      |> :qlc.string_to_handle([], T: Table.table(table))
      |> :qlc.info()
      |> to_string()
    end

    assert info.(~c"[X || X = {7, _} <- T].") =~ "'Elixir.Blanket.Table':lookup("
    assert info.(~c"[X || X = {K, _} <- T, (K =:= 1) or (K =:= 2)].") =~ "lookup_many("
    assert info.(~c"[X || X <- T].") =~ "'Elixir.Blanket.Table':table("
    assert info.(~c"[X || X = {_, N} <- T, N > 1].") =~ "{traverse,"
  end

  test "a handle merges and sorts with those of others" do
    blanket = Table.table(filled(Table, :ordered_set))
    ets = :ets.table(filled(:ets, :ordered_set))

    query =
      :qlc.string_to_handle(~c"[{A, B} || {K, A} <- T, {L, B} <- U, K =:= L].", [],
        T: blanket,
        U: ets
      )

    assert length(:qlc.eval(query)) == 60
    assert :qlc.eval(:qlc.keysort(2, blanket)) == :qlc.eval(:qlc.keysort(2, ets))
  end

  test "the table is fixed while it is queried, and not afterwards" do
    for options <- @traversals do
      table = filled(Table, :set)
      cursor = :qlc.cursor(Table.table(table, options))
      assert [_] = :qlc.next_answers(cursor, 1)
      # By the cursor's own process.
      assert {_, [{pid, 1}]} = Table.info(table, :safe_fixed)
      assert pid != self()
      :qlc.delete_cursor(cursor)
      assert Table.info(table, :fixed) == false
    end
  end

  test "a query goes on while its table is emptied" do
    for options <- @traversals do
      table = Table.new(:queried, [:set, :public])
      Table.insert(table, for(i <- 1..2000, do: {i, 1}))
      cursor = :qlc.cursor(Table.table(table, options))
      assert length(:qlc.next_answers(cursor, 10)) == 10
      Table.delete_all_objects(table)
      assert length(:qlc.next_answers(cursor, :all_remaining)) < 2000
      :qlc.delete_cursor(cursor)
    end
  end

  test "bad options are refused as by :ets" do
    table = filled(Table, :set)
    reference = filled(:ets, :set)

    for options <- [
          [traverse: :first],
          [n_objects: 0],
          {:n_objects, -1},
          [n_objects: :all],
          :fast,
          [:fast],
          [fast: true],
          [traverse: :select, traverse: :select]
        ] do
      assert_raise ArgumentError, fn -> :ets.table(reference, options) end
      assert_raise ArgumentError, fn -> Table.table(table, options) end
    end

    error = assert_raise ArgumentError, fn -> Table.table(table, n_objects: 0) end
    assert error.message =~ "2nd argument: not valid options of a query handle"
  end

  test "a single option, and QLC's own, are taken" do
    table = filled(Table, :ordered_set)

    for options <- [{:traverse, :first_next}, {:n_objects, 3}, [n_objects: 3]],
        do: assert(length(:qlc.eval(Table.table(table, options))) == 60)
  end
end
