defmodule Blanket.Table.QLC do
  @moduledoc false

  # Query handles: what QLC has to know to query a table.

  alias Blanket.Table

  @type traverse :: :first_next | :last_prev | :select | {:select, :ets.match_spec()}

  @doc """
  The handle of a table; `:error` where an option is not valid.
  """
  @spec table(Table.table(), term) :: {:ok, :qlc.query_handle()} | :error
  def table(table, options) do
    given = if is_list(options), do: options, else: [options]

    with false <- List.improper?(given),
         {:ok, traverse, others} <- option(given, :traverse, :select, &traverse?/1),
         {:ok, portion, others} <- option(others, :n_objects, :default, &portion?/1) do
      portion = if portion == :default, do: 100, else: portion

      {:ok,
       :qlc.table(traversal(table, traverse, portion), own(table, options, traverse) ++ others)}
    else
      _ -> :error
    end
  end

  # As :ets does, takes the first and leaves others of that name to QLC, which refuses them.
  defp option(options, name, default, valid?) do
    case List.keytake(options, name, 0) do
      nil -> {:ok, default, options}
      {{^name, value}, others} -> if valid?.(value), do: {:ok, value, others}, else: :error
      _ -> :error
    end
  end

  defp traverse?({:select, _match_spec}), do: true
  defp traverse?(traverse), do: traverse in [:first_next, :last_prev, :select]

  defp portion?(portion), do: portion == :default or (is_integer(portion) and portion > 0)

  defp own(table, options, traverse) do
    [
      pre_fun: fn _ -> Table.safe_fixtable(table, true) end,
      post_fun: fn -> Table.safe_fixtable(table, false) end,
      info_fun: &info(table, &1),
      format_fun: &format(table, options, &1),
      key_equality: if(Table.info(table, :type) == :ordered_set, do: :==, else: :"=:="),
      lookup_fun: if(not is_tuple(traverse), do: &lookup(table, &1, &2))
    ]
    |> Enum.map(fn {name, value} -> {name, value || :undefined} end)
  end

  defp info(table, :num_of_objects), do: Table.info(table, :size)
  defp info(table, :keypos), do: Table.info(table, :keypos)
  defp info(table, :is_unique_objects), do: Table.info(table, :type) != :duplicate_bag
  defp info(table, :is_sorted_key), do: Table.info(table, :type) == :ordered_set
  defp info(_table, _item), do: :undefined

  defp lookup(table, _position, keys), do: table |> Table.lookup_many(keys) |> Enum.concat()

  ## Traversals answer lists whose tail is a fun that goes on

  defp traversal(table, :first_next, _portion),
    do: fn -> steps(Table.first_lookup(table), &Table.next_lookup(table, &1)) end

  defp traversal(table, :last_prev, _portion),
    do: fn -> steps(Table.last_lookup(table), &Table.prev_lookup(table, &1)) end

  defp traversal(table, :select, portion),
    do: fn match_spec -> portions(Table.select(table, match_spec, portion)) end

  defp traversal(table, {:select, match_spec}, portion),
    do: fn -> portions(Table.select(table, match_spec, portion)) end

  defp steps(:"$end_of_table", _next), do: []
  defp steps({key, objects}, next), do: append(objects, fn -> steps(next.(key), next) end)

  defp portions(:"$end_of_table"), do: []

  defp portions({objects, continuation}),
    do: append(objects, fn -> portions(Table.select(continuation)) end)

  @dialyzer {:no_improper_lists, append: 2}
  defp append([object | objects], go_on), do: [object | append(objects, go_on)]
  defp append([], go_on), do: go_on

  ## What :qlc.info/1 shows

  defp format(table, options, {:all, _count, _to_text}) do
    {Table, :table, [table | if(options == [], do: [], else: [options])]}
  end

  defp format(table, options, {:match_spec, match_spec}),
    do: {Table, :table, [table, [{:traverse, {:select, match_spec}} | List.wrap(options)]]}

  defp format(table, _options, {:lookup, _position, [key], _count, to_text}),
    do: :io_lib.format("~w:lookup(~w, ~w)", [Table, table, to_text.(key)])

  defp format(table, _options, {:lookup, _position, keys, _count, to_text}) do
    :io_lib.format("lists:append(~w:lookup_many(~w, ~w))", [
      Table,
      table,
      Enum.map(keys, to_text)
    ])
  end
end
