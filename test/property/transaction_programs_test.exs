defmodule Blanket.TransactionProgramsTest do
  # Random programs of transactions on tables of every type, and the same calls on tables of :ets, which is the
  # model: those of a transaction that is aborted, or raises, are not made there. What a call answers in a
  # transaction is what :ets answers after the calls before it.
  use ExUnit.Case, async: true

  import Blanket.Property
  import :proper_types, except: [float: 0, tuple: 0, list: 0, atom: 0]

  alias Blanket.{Table, Transaction}

  @programs 500
  @types [:set, :ordered_set, :bag, :duplicate_bag]

  for compressed <- [[], [:compressed]] do
    test "programs on tables #{inspect(compressed)} are those of :ets" do
      check(resize(25, list(transaction())), @programs, &run(&1, unquote(compressed)))
    end
  end

  # Steps on the table at some index, and how it ends; a nested one among them.
  defp transaction do
    tuple([
      resize(12, list(frequency([{8, step()}, {1, {:nested, nested(), ending()}}]))),
      ending()
    ])
  end

  defp nested, do: resize(5, list(step()))
  defp ending, do: frequency([{5, :commit}, {1, :abort}, {1, :raise}])
  defp step, do: tuple([range(0, length(@types) - 1), call()])

  defp call do
    key = frequency([{8, range(0, 12)}, {1, elements([1.0, 2.0, {1, 2.0}, {1, 2}, "key", nil])}])
    value = frequency([{4, range(0, 3)}, {1, elements(["text", :atom, 0.5])}, {1, long()}])
    object = tuple([key, value, range(0, 3)])

    frequency([
      {8, {:insert, [object]}},
      {2, {:insert, [resize(4, list(object))]}},
      {3, {:insert_new, [object]}},
      {1, {:insert_new, [resize(3, list(object))]}},
      {4, {:delete, [key]}},
      {3, {:delete_object, [object]}},
      {3, {:take, [key]}},
      {5, {:lookup, [key]}},
      {3, {:member, [key]}},
      {2, {:lookup_element, [key, range(0, 4)]}},
      {3, {:update_counter, [key, frequency([{3, {3, range(-2, 2)}}, {1, {1, 1}}, {1, :bad}])]}},
      {2, {:update_counter, [key, [{3, 1}, {3, range(-2, 2), 1, 0}], {0, 0, 0}]}},
      {3, {:update_element, [key, {range(0, 4), value}]}},
      {2, {:select, [spec()]}},
      {1, {:select_reverse, [spec()]}},
      {2, {:select_count, [counting()]}},
      {2, {:select_delete, [counting()]}},
      {1, {:match, [tuple([:"$1", :_, range(0, 3)])]}},
      {1, {:match_object, [tuple([key, :_, :_])]}},
      {1, {:match_delete, [tuple([:_, :_, range(0, 3)])]}},
      {2, {:tab2list, []}},
      {2, {:walk, [elements([:next, :prev])]}},
      {2, {:insert, [elements([:bad, [{1, 1, 1} | :improper], {}])]}}
    ])
  end

  defp long,
    do: elements([String.duplicate("long", 40), Enum.to_list(1..40), Map.new(1..40, &{&1, &1})])

  defp spec do
    elements([
      [{{:"$1", :_, :"$2"}, [{:>, :"$2", 1}], [{{:"$2", :"$1"}}]}],
      [{{3, :"$1", :_}, [], [:"$1"]}, {{:"$1", :_, :_}, [{:<, :"$1", 5}], [:"$_"]}],
      [{:_, [], [:"$_"]}],
      [{{:"$1", :_, :_}, [{:>=, :"$1", 4}, {:<, :"$1", 9}], [:"$1"]}],
      [],
      :bad
    ])
  end

  defp counting do
    elements([
      [{{:_, :_, 2}, [], [true]}],
      [{{:"$1", :_, :_}, [{:<, :"$1", 3}], [true]}, {{5, :_, :_}, [], [true]}],
      []
    ])
  end

  defp run(program, compressed) do
    tables = for type <- @types, do: Table.new(:program, [type, :public | compressed])
    twins = for type <- @types, do: :ets.new(:program, [type, :public])

    verdict =
      Enum.reduce_while(program, :ok, fn transaction, :ok ->
        case run_transaction(transaction, tables, twins) do
          :ok -> {:cont, :ok}
          complaint -> {:halt, complaint}
        end
      end)

    for table <- tables, do: Table.delete(table)
    for twin <- twins, do: :ets.delete(twin)
    verdict
  end

  defp run_transaction({_steps, ending} = transaction, tables, twins) do
    before = for twin <- twins, do: contents(twin)

    answer =
      try do
        Blanket.transaction(fn tx -> steps(tx, transaction, tables, twins) end)
      rescue
        error in RuntimeError -> {:raised, error.message}
      end

    if ending != :commit, do: restore(twins, before)

    with :ok <- first_wrong(answer, ending) do
      for({table, twin} <- Enum.zip(tables, twins), do: same_contents(table, twin))
      |> Enum.find(:ok, &(&1 != :ok))
    end
  end

  defp first_wrong({:error, {:wrong, complaint}}, _ending), do: complaint
  defp first_wrong({:ok, :done}, :commit), do: :ok
  defp first_wrong({:error, :aborted}, :abort), do: :ok
  defp first_wrong({:raised, "raised"}, :raise), do: :ok
  defp first_wrong(answer, ending), do: "#{inspect(answer)} of one that ends by #{ending}"

  defp steps(tx, {steps, ending}, tables, twins) do
    Enum.each(steps, fn
      {:nested, steps, ending} ->
        before = for twin <- twins, do: contents(twin)

        answer =
          try do
            Blanket.transaction(fn inner -> steps(inner, {steps, ending}, tables, twins) end)
          rescue
            error in RuntimeError -> {:raised, error.message}
          end

        if ending != :commit, do: restore(twins, before)

        with complaint when complaint != :ok <- first_wrong(answer, ending),
             do: Transaction.abort(tx, {:wrong, complaint})

      {at, {name, args}} ->
        [table, twin] = for all <- [tables, twins], do: Enum.at(all, at)
        type = Enum.at(@types, at)
        got = result(name, type, fn -> in_transaction(tx, table, name, args) end)
        expected = result(name, type, fn -> in_ets(twin, name, args) end)

        if got !== expected,
          do: Transaction.abort(tx, {:wrong, compare({type, name, args}, expected, got)})
    end)

    case ending do
      :commit -> :done
      :abort -> Transaction.abort(tx, :aborted)
      :raise -> raise "raised"
    end
  end

  defp in_transaction(tx, table, :walk, [way]) do
    first = if way == :next, do: &Transaction.first/2, else: &Transaction.last/2
    walk(first.(tx, table), &apply(Transaction, way, [tx, table, &1]))
  end

  defp in_transaction(tx, table, name, args), do: apply(Transaction, name, [tx, table | args])

  defp in_ets(twin, :walk, [way]) do
    first = if way == :next, do: &:ets.first/1, else: &:ets.last/1
    walk(first.(twin), &apply(:ets, way, [twin, &1]))
  end

  # Some releases insert the objects of a list in another order.
  defp in_ets(twin, name, [objects]) when name in [:insert, :insert_new] and is_list(objects) do
    if List.improper?(objects), do: raise(ArgumentError)

    if name == :insert or not Enum.any?(objects, &:ets.member(twin, elem(&1, 0))),
      do: Enum.all?(objects, &:ets.insert(twin, &1)),
      else: false
  end

  defp in_ets(twin, name, args), do: apply(:ets, name, [twin | args])

  defp walk(:"$end_of_table", _step), do: []
  defp walk(key, step), do: [key | walk(step.(key), step)]

  # The order of tables that have none does not count, nor which of two equal keys of an ordered_set is meant.
  defp result(name, type, call) do
    answer = call.()

    if is_list(answer) and type != :ordered_set and
         name not in [:lookup, :take, :update_counter, :lookup_element],
       do: sort(answer),
       else: answer
  rescue
    ArgumentError -> :badarg
  end

  # 1 and 1.0, too, have an order.
  defp sort(terms), do: Enum.sort_by(terms, &:erlang.term_to_binary/1)

  # Those of a key in the order of their insertion.
  defp contents(twin) do
    keys = for object <- :ets.tab2list(twin), uniq: true, do: elem(object, 0)
    Enum.flat_map(keys, &:ets.lookup(twin, &1))
  end

  defp restore(twins, before) do
    for {twin, objects} <- Enum.zip(twins, before) do
      :ets.delete_all_objects(twin)
      Enum.each(objects, &:ets.insert(twin, &1))
    end
  end

  defp same_contents(table, twin) do
    [got, expected] = for objects <- [Table.tab2list(table), contents(twin)], do: sort(objects)

    compare({:tab2list, Table.info(table, :type)}, expected, got)
  end
end
