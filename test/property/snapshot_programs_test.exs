defmodule Blanket.SnapshotProgramsTest do
  # Random programs that change a table and take and release snapshots of it: each snapshot is compared,
  # by every way to read it, with a copy that :ets has of that instant.
  use ExUnit.Case, async: true

  import Blanket.Property
  import :proper_types, except: [float: 0, tuple: 0, list: 0, atom: 0]

  alias Blanket.Table

  @programs 60

  for type <- [:set, :ordered_set, :bag, :duplicate_bag], compressed <- [[], [:compressed]] do
    test "snapshots of a #{Enum.join([type | compressed], " ")} stay what they are" do
      options = [unquote(type), :public | unquote(compressed)]
      program = resize(80, list(command()))
      check(program, @programs, &run(&1, options))
    end
  end

  defp command do
    key = range(0, 40)
    value = frequency([{4, range(0, 3)}, {1, elements(["text", :atom, 0.5])}, {1, long()}])
    object = tuple([key, value, range(0, 3)])

    frequency([
      {6, {:insert, [object]}},
      {2, {:insert, [list(object)]}},
      {2, {:insert_new, [object]}},
      {4, {:delete, [key]}},
      {2, {:delete_object, [object]}},
      {2, {:take, [key]}},
      {3, {:update_counter, [key, {3, range(-2, 2)}]}},
      {2, {:update_element, [key, {2, value}]}},
      {1, {:match_delete, [tuple([:_, :_, range(0, 3)])]}},
      {1, {:select_delete, [{:least, key}]}},
      {1, {:many, range(0, 3000)}},
      {1, :delete_all_objects},
      {3, :snapshot},
      {1, {:release, range(0, 3)}},
      {2, {:look, range(0, 3)}}
    ])
  end

  defp long,
    do: elements([String.duplicate("long", 40), Enum.to_list(1..40), Map.new(1..40, &{&1, &1})])

  defp run(program, options) do
    [table, twin] = for module <- [Table, :ets], do: module.new(:program, options)

    {verdict, snapshots} =
      Enum.reduce_while(program, {:ok, []}, &step(&1, &2, {table, twin, options}))

    verdict = with :ok <- verdict, do: first_wrong([{table, twin} | snapshots])
    # They outlive their table.
    Table.delete(table)
    verdict = with :ok <- verdict, do: first_wrong(snapshots)
    for {snapshot, _} <- snapshots, do: :ok = Table.release(snapshot)
    for twin <- [twin | Enum.map(snapshots, &elem(&1, 1))], do: :ets.delete(twin)
    verdict
  end

  defp step(:snapshot, {:ok, snapshots}, {table, twin, options}) do
    {:ok, snapshot} = Table.snapshot(table)
    copy = :ets.new(:copy, options)
    for object <- :ets.tab2list(twin), do: :ets.insert(copy, object)
    {:cont, {:ok, [{snapshot, copy} | snapshots]}}
  end

  defp step({:release, at}, {:ok, snapshots}, _tables) do
    case List.pop_at(snapshots, at) do
      {nil, _} ->
        {:cont, {:ok, snapshots}}

      {{snapshot, copy}, snapshots} ->
        :ok = Table.release(snapshot)
        :ets.delete(copy)
        {:cont, {:ok, snapshots}}
    end
  end

  defp step({:look, at}, {:ok, snapshots}, _tables) do
    case snapshots |> Enum.slice(at, 1) |> first_wrong() do
      :ok -> {:cont, {:ok, snapshots}}
      complaint -> {:halt, {complaint, snapshots}}
    end
  end

  defp step(command, {:ok, snapshots}, {table, twin, _options}) do
    {function, args} = call(command)
    # The one that stays of a list is not for :ets to say.
    args =
      for arg <- args, do: if(is_list(arg) and function == :insert, do: unique(arg), else: arg)

    for {module, table} <- [{Table, table}, {:ets, twin}],
        do: change(module, function, [table | args])

    {:cont, {:ok, snapshots}}
  end

  defp call({:many, count}), do: {:insert, [for(i <- 0..count, do: {40 + i, i, 0})]}
  defp call(:delete_all_objects), do: {:delete_all_objects, []}

  defp call({:select_delete, [{:least, key}]}),
    do: {:select_delete, [[{{:"$1", :_, :_}, [{:>, :"$1", key}], [true]}]]}

  defp call(call), do: call

  defp unique(objects), do: Enum.uniq_by(objects, &elem(&1, 0))

  defp change(module, function, args) do
    apply(module, function, args)
  rescue
    ArgumentError -> :badarg
  end

  defp first_wrong(pairs) do
    Enum.find_value(pairs, :ok, fn {table, twin} ->
      case compare(:contents, contents(:ets, twin), contents(Table, table)) do
        :ok -> nil
        complaint -> complaint
      end
    end)
  end

  defp contents(module, table) do
    objects = in_order(module, table, module.tab2list(table))
    spec = [{{:"$1", :_, :"$2"}, [{:>, :"$2", 0}], [:"$1"]}]

    %{
      size: module.info(table, :size),
      type: module.info(table, :type),
      objects: objects,
      by_key: Map.new(objects, &{elem(&1, 0), module.lookup(table, elem(&1, 0))}),
      others:
        for(key <- [-1, 41, 1.0], do: {module.member(table, key), module.lookup(table, key)}),
      keys: in_order(module, table, keys(module, module.first(table), table)),
      folded: in_order(module, table, module.foldr(&[&1 | &2], [], table)),
      selected: in_order(module, table, module.select(table, spec)),
      counted: module.select_count(table, [{{:_, :_, 0}, [], [true]}]),
      matched:
        in_order(module, table, portions(module, module.match_object(table, {:_, :_, 0}, 7)))
    }
  end

  defp in_order(module, table, list),
    do: if(module.info(table, :type) == :ordered_set, do: list, else: Enum.sort(list))

  defp keys(_module, :"$end_of_table", _table), do: []
  defp keys(module, key, table), do: [key | keys(module, module.next(table, key), table)]

  defp portions(_module, :"$end_of_table"), do: []

  defp portions(module, {objects, continuation}),
    do: objects ++ portions(module, module.match_object(continuation))
end
