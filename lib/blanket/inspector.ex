defmodule Blanket.Inspector do
  @moduledoc """
  Shows the tables of a node: what they hold, who owns them, and how they went from owner to owner.

  A table is a plain reference, as those of `:ets` are, and prints as one. To see what it is, ask here:

      iex> table = Blanket.Table.new(:cities, [:set, :public])
      iex> Blanket.Table.insert(table, [{"Rome", 2_748_109}, {"Oslo", 717_710}])
      iex> info = Blanket.Inspector.table(table)
      iex> {info.name, info.size, info.state, info.owner == self()}
      {:cities, 2, :owned, true}

  Nothing of this looks at objects or slows a table down. The same is on the terminal by `report/0`
  and `mix blanket.top`, and on a page in the browser by `start_web/1`.
  """

  alias Blanket.{Native, Rendezvous, Table}
  alias Blanket.Inspector.{Report, TableInfo, Web}

  @webs Blanket.Inspector.Supervisor

  @doc """
  What is known of a table, or `nil` when there is no such table.

  The functions of `Blanket.Table` find a table by its name when it has the option `:named_table`. Here the
  name of any other does as well, if no second table has it.

      iex> table = Blanket.Table.new(:rivers, [])
      iex> Blanket.Inspector.table(:rivers).table == table
      true
      iex> Blanket.Inspector.table(:no_such_table)
      nil
  """
  @spec table(Table.table()) :: TableInfo.t() | nil
  def table(table) do
    case known(table) do
      nil when is_atom(table) -> only(table, Enum.filter(tables(), &(&1.name == table)))
      known -> known
    end
  end

  defp known(table) do
    with facts when is_map(facts) <- Native.info(table) do
      TableInfo.read(facts.id, kept(facts.id))
    else
      :undefined -> nil
    end
  rescue
    ArgumentError -> nil
  end

  defp only(_name, []), do: nil
  defp only(_name, [info]), do: info

  defp only(name, infos) do
    raise ArgumentError,
          "#{length(infos)} tables have the name #{inspect(name)}, and none the option :named_table: " <>
            "give the reference of one, which Blanket.Inspector.tables/0 tells as :table"
  end

  defp kept(table) do
    with {:ok, ref} <- Native.kept_as(table),
         {^table, keep} <- Native.kept(ref) do
      {ref, keep}
    else
      _ -> nil
    end
  rescue
    ArgumentError -> nil
  end

  @doc """
  What is known of all tables of the node, in no certain order.

      iex> Blanket.Table.new(:listed_by_inspector, [:named_table])
      iex> :listed_by_inspector in Enum.map(Blanket.Inspector.tables(), & &1.name)
      true
  """
  @spec tables() :: [TableInfo.t()]
  def tables do
    tables = Table.all()
    # Later, so that all of those that are kept are among these.
    kept = for {ref, table, keep} <- Native.kept(), into: %{}, do: {table, {ref, keep}}

    for table <- tables,
        table != Rendezvous,
        info = read(table, kept),
        do: info
  end

  defp read(name, kept) when is_atom(name) do
    with table when is_reference(table) <- Table.whereis(name),
         do: read(table, kept),
         else: (_ -> nil)
  end

  defp read(table, kept), do: TableInfo.read(table, kept[table])

  @doc """
  Prints all tables, the largest first.

      iex> import ExUnit.CaptureIO
      iex> Blanket.Table.new(:printed, [:ordered_set])
      iex> capture_io(&Blanket.Inspector.report/0) =~ ~r/^:printed +ordered_set +0 /m
      true
  """
  @spec report() :: :ok
  def report do
    width = with {:ok, columns} <- :io.columns(), do: columns, else: (_ -> 120)
    Enum.each(lines(:memory, width, :infinity), &IO.puts/1)
  end

  @doc false
  # Called by mix blanket.top, from another node too.
  @spec lines(Report.sort(), pos_integer, pos_integer | :infinity) :: [String.t()]
  def lines(sort, width, height), do: Report.lines(tables(), sort, width, height)

  @doc """
  Starts a page that shows the tables in a browser: see `Blanket.Inspector.Web`.

  It runs until `stop_web/1`, or until the `:blanket` application stops. Options:

    * `:port` – 4040 by default; 0 for any that is free.

  `{:error, :eaddrinuse}` says that the port is taken, `{:error, {:not_available, :inets}}` that OTP's web
  server is not installed.

      iex> {:ok, web} = Blanket.Inspector.start_web(port: 0)
      iex> "http://127.0.0.1:" <> _port = Blanket.Inspector.Web.url(web)
      iex> Blanket.Inspector.stop_web(web)
      :ok
  """
  @spec start_web([Web.option()]) :: {:ok, pid} | {:error, term}
  def start_web(opts \\ []) do
    spec = Supervisor.child_spec({Web, opts}, restart: :temporary)

    case DynamicSupervisor.start_child(@webs, spec) do
      {:ok, web} -> {:ok, web}
      {:error, reason} -> {:error, reason}
    end
  catch
    :exit, {:noproc, _} -> {:error, {:not_started, :blanket}}
  end

  @doc """
  Stops all pages that `start_web/1` has started.

      iex> Blanket.Inspector.stop_web()
      :ok
  """
  @spec stop_web() :: :ok
  def stop_web do
    for {_, web, _, _} <- DynamicSupervisor.which_children(@webs), do: stop_web(web)
    :ok
  catch
    :exit, {:noproc, _} -> :ok
  end

  @doc """
  Stops a page that `start_web/1` has started.
  """
  @spec stop_web(pid) :: :ok | {:error, :not_found}
  def stop_web(web) do
    DynamicSupervisor.terminate_child(@webs, web)
  catch
    :exit, {:noproc, _} -> {:error, :not_found}
  end
end
