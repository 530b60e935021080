defmodule Blanket.Owner do
  @moduledoc false

  # What `use Blanket, table: definition` makes of a module: a GenServer that owns one kept table, which
  # is its state.

  @child [:id, :restart, :shutdown]
  @keep [:populate, :transient]

  @doc """
  The definitions for a module that says `use Blanket` with these options.
  """
  @spec definitions(Macro.t(), module) :: Macro.t()
  def definitions([], _module), do: nil

  def definitions(options, module) do
    check!(options, module)
    {table, options} = Keyword.pop!(options, :table)
    {child, keep} = Keyword.split(options, @child)

    quote do
      # To use it twice would be a warning.
      unless GenServer in Module.get_attribute(__MODULE__, :behaviour), do: use(GenServer)

      @doc "Creates the table, unless it is kept already, and starts its owner: see `use Blanket`."
      @spec start_link(term) :: GenServer.on_start()
      def start_link(arg \\ []),
        do: Blanket.Owner.start_link(__MODULE__, arg, unquote(table), unquote(keep))

      @doc false
      def child_spec(arg), do: Blanket.Owner.child_spec(super(arg), arg, unquote(child))

      @doc false
      def init(_arg), do: Blanket.Owner.init(unquote(table))

      defoverridable start_link: 0, start_link: 1, child_spec: 1, init: 1
    end
  end

  defp check!(options, module) do
    known = [:table] ++ @keep ++ @child

    cond do
      not Keyword.keyword?(options) ->
        wrong!(module, "#{Macro.to_string(options)} is not a list of options")

      unknown = Enum.find(Keyword.keys(options), &(&1 not in known)) ->
        wrong!(module, "it knows no option #{inspect(unknown)}, but #{inspect(known)}")

      not Keyword.has_key?(options, :table) ->
        wrong!(module, "with options it needs the table: table: {name, options}")

      true ->
        :ok
    end
  end

  defp wrong!(module, what),
    do: raise(ArgumentError, "use Blanket in #{inspect(module)}: #{what}")

  @doc """
  Starts the owner by its name, with a table kept for it.
  """
  @spec start_link(module, term, atom | Blanket.definition(), [Blanket.option()]) ::
          GenServer.on_start()
  def start_link(module, arg, table, keep) do
    name = name(module, arg)

    with {:ok, _heir} <- Blanket.new(module, name, definition(table), keep),
         do: GenServer.start_link(module, arg, name: name)
  end

  @doc """
  The child specification that `use GenServer` makes, with an id for each name.
  """
  @spec child_spec(Supervisor.child_spec(), term, keyword) :: Supervisor.child_spec()
  def child_spec(child_spec, arg, overrides) do
    overrides = if named?(arg), do: Keyword.put(overrides, :id, arg[:name]), else: overrides
    Supervisor.child_spec(child_spec, overrides)
  end

  @doc """
  Receives the table.
  """
  @spec init(atom | Blanket.definition()) :: {:ok, Blanket.Table.table()} | {:stop, term}
  def init(table) do
    {name, _options} = definition(table)
    with {:error, reason} <- Blanket.receive_table(name), do: {:stop, reason}
  end

  defp name(module, arg), do: if(named?(arg), do: arg[:name], else: module)
  defp named?(arg), do: Keyword.keyword?(arg) and Keyword.has_key?(arg, :name)

  defp definition(name) when is_atom(name), do: {name, []}
  defp definition({_name, _options} = definition), do: definition
end
