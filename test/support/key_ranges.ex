defmodule Blanket.KeyRanges do
  @moduledoc """
  Patterns and guards that say where in an `:ordered_set` the objects are. Whatever of the table is
  passed over for that, the answers have to be those of a search that looks at every object.

  Those of `:ets` are not always: it misses objects where clauses give keys that begin with 1 and with 1.0.
  """

  import :proper_types, except: [float: 0, tuple: 0, list: 0, atom: 0]

  alias Blanket.{Property, Table, Terms}

  ## Generators

  @doc """
  Match specifications for a table of up to so many keys.
  """
  def program(size) do
    bind(tuple([keys(size), keys(6)]), fn {keys, others} ->
      tuple([exactly(keys), range(1, 2), list_of(8, spec(Enum.take(keys, 20) ++ others))])
    end)
  end

  # Keys that begin alike, so that prefixes have several.
  defp keys(size), do: non_empty(resize(size, list(resize(12, key()))))

  defp key do
    frequency([
      {4, Terms.key()},
      {4, tuple([few(), few()])},
      {4, tuple([few(), Terms.key(), few()])},
      {2, tuple([tuple([few(), few()]), Terms.key()])},
      {3, list_of(4, few())},
      {2, bind(tuple([few(), Terms.key()]), fn {head, tail} -> [head | tail] end)}
    ])
  end

  defp few, do: elements([1, 1.0, 2, -1, :a, "a", {}, [], 576_460_752_303_423_488, {1, 2}])

  defp spec(keys) do
    clause = bind(elements(keys), &clause(&1, keys))
    frequency([{5, fixed_list([clause])}, {2, non_empty(list_of(4, clause))}])
  end

  defp clause(key, keys) do
    tuple([pattern(key), list_of(3, guard(keys)), elements([:object, :key, true])])
  end

  # Of a key, with some parts left open.
  defp pattern(key) when is_tuple(key) and key != {} do
    parts = key |> Tuple.to_list() |> Enum.map(&pattern/1)
    whole_or_open(key, bind(fixed_list(parts), &List.to_tuple/1))
  end

  defp pattern([head | tail] = key) do
    whole_or_open(
      key,
      bind(tuple([pattern(head), pattern(tail)]), fn {head, tail} -> [head | tail] end)
    )
  end

  defp pattern(key), do: whole_or_open(key, exactly(key))

  defp whole_or_open(key, parts),
    do: frequency([{2, variable()}, {2, exactly(key)}, {5, parts}])

  @variables [:"$1", :"$2", :"$3"]

  defp variable, do: elements([:_ | @variables])

  defp guard(keys) do
    comparison = elements([:<, :>, :"=<", :>=, :==, :"=:=", :"/="])
    limit = bind(oneof([elements(keys), Terms.key(), few()]), &{:const, &1})

    frequency([
      {6, tuple([comparison, variable_of_guard(), limit])},
      {4, tuple([comparison, limit, variable_of_guard()])},
      {2, tuple([elements([:and, :andalso, :or, :orelse]), lazy_guard(keys), lazy_guard(keys)])}
    ])
  end

  defp lazy_guard(keys), do: lazy(fn -> guard(keys) end)
  defp variable_of_guard, do: elements([:"$1", :"$1", :"$2", :"$3"])

  defp list_of(size, element), do: resize(size, list(element))
  defp bind(generator, fun), do: :proper_types.bind(generator, fun, false)

  ## Running

  @doc """
  Runs the match specifications. Answers `:ok` or a complaint.
  """
  def run({keys, keypos, specs}) do
    # Of each, all searches, and a deletion.
    Property.count(8 * length(specs))
    table = Table.new(:ranges, [:ordered_set, keypos: keypos])
    Table.insert(table, for(key <- keys, do: object(key, :here, keypos)))

    try do
      Enum.find_value(specs, :ok, fn spec ->
        spec = Enum.map(spec, &whole_clause(&1, keypos))
        searches(table, spec) || deletion(table, spec)
      end)
    after
      Table.delete(table)
    end
  end

  defp object(key, value, 1), do: {key, value}
  defp object(key, value, 2), do: {value, key}

  # Only what the pattern binds can be guarded.
  defp whole_clause({key, guards, result}, keypos) do
    bound = Enum.filter(@variables, &(&1 in variables(key)))
    guards = Enum.filter(guards, fn guard -> variables(guard) -- bound == [] end)

    result =
      case result do
        :object -> :"$_"
        :key -> {:element, keypos, :"$_"}
        true -> true
      end

    {object(key, :_, keypos), guards, [result]}
  end

  defp variables({:const, _}), do: []
  defp variables(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> variables()
  defp variables([head | tail]), do: Enum.uniq(variables(head) ++ variables(tail))
  defp variables(term), do: if(term in @variables, do: [term], else: [])

  defp searches(table, spec) do
    found = found(table, spec)

    Enum.find_value(
      [
        {:select, [spec], found},
        {:select, [spec, 1], found},
        {:select, [spec, 7], found},
        {:select_reverse, [spec], Enum.reverse(found)},
        {:select_reverse, [spec, 1], Enum.reverse(found)},
        {:select_reverse, [spec, 7], Enum.reverse(found)},
        {:select_count, [spec], Enum.count(found, &(&1 == true))}
      ],
      fn {function, args, expected} ->
        got = all(function, [table | args])
        if got !== expected, do: complaint({function, args}, expected, got)
      end
    )
  end

  # Every object is looked at.
  defp found(table, spec),
    do: :ets.match_spec_run(Table.tab2list(table), :ets.match_spec_compile(spec))

  defp all(function, args) do
    case apply(Table, function, args) do
      {results, continuation} -> results ++ all(function, [continuation])
      :"$end_of_table" -> []
      answer -> answer
    end
  end

  defp deletion(table, spec) do
    deleting = for {pattern, guards, _result} <- spec, do: {pattern, guards, [:"$_"]}
    objects = Table.tab2list(table)
    matching = found(table, deleting)

    deleted =
      Table.select_delete(
        table,
        for({pattern, guards, _} <- deleting, do: {pattern, guards, [true]})
      )

    left = Table.tab2list(table)
    Table.insert(table, Enum.take_every(matching, 2))

    if {deleted, left} !== {length(matching), objects -- matching},
      do:
        complaint(
          {:select_delete, [spec]},
          {length(matching), objects -- matching},
          {deleted, left}
        )
  end

  defp complaint(call, expected, got) do
    """
    #{inspect(call, limit: :infinity)}
    should answer   #{inspect(expected, limit: 50)}
    Blanket answers #{inspect(got, limit: 50)}
    """
  end
end
